// SPDX-License-Identifier: GPL-2.0

#include <linux/bpf_trace.h>
#include <linux/error-injection.h>
#include <linux/etherdevice.h>
#include <linux/filter.h>
#include <linux/inetdevice.h>
#include <linux/net_tstamp.h>
#include <net/addrconf.h>
#include <net/dst.h>
#include <net/net_namespace.h>
#include <net/netdev_lock.h>
#include <net/page_pool/helpers.h>
#include <net/sock.h>
#include <net/xdp_sock.h>
#include <net/xdp_sock_drv.h>

#include "helpers.h"

/* Apart, so that packets without such a dst do not save its registers. */
static noinline void skb_force_noref_dst(struct sk_buff *skb)
{
	skb_dst_force(skb);
}

/*
 * Turns a packet round, from the end of its transmission to its arrival at dev:
 * the steps of loopback_xmit() before __netif_rx(), in its order. ETH_HLEN bytes
 * of the packet are linear.
 */
__netdev_helper void netdev_helper_skb_into_rx(struct sk_buff *skb, struct net_device *dev)
{
	const struct ethhdr *eth;
	__be16 proto;

	/* As skb_tx_timestamp(), less the timestamp by a PHY: dev has none. */
	if (unlikely(skb_shinfo(skb)->tx_flags & (SKBTX_SW_TSTAMP | SKBTX_BPF)))
		skb_tstamp_tx(skb, NULL);

	/* do not fool net_timestamp_check() with various clock bases */
	skb_clear_tstamp(skb);

	skb_orphan(skb);

	/* The backlog outlives the RCU section that protects the dst. */
	if (unlikely(skb->_skb_refdst & SKB_DST_NOREF))
		skb_force_noref_dst(skb);

	/* What eth_type_trans() comes to for a frame to dev that has an EtherType. */
	eth = (const struct ethhdr *)skb->data;
	proto = eth->h_proto;
	if (likely(eth_proto_is_802_3(proto) &&
		   ether_addr_equal_64bits(eth->h_dest, dev->dev_addr))) {
		skb->dev = dev;
		skb_reset_mac_header(skb);
		__skb_pull(skb, ETH_HLEN);
		skb->protocol = proto;
	} else {
		skb->protocol = eth_type_trans(skb, dev);
	}
}

__netdev_helper void netdev_helper_skb_consume(struct sk_buff *skb)
{
	skb_tx_timestamp(skb);
	dev_consume_skb_any(skb);
}

__netdev_helper void netdev_helper_lstats_add(struct net_device *dev, unsigned int len)
{
	dev_lstats_add(dev, len);
}

__netdev_helper struct pcpu_lstats __percpu *netdev_helper_pcpu_lstats_alloc(void)
{
	return __netdev_alloc_pcpu_stats(struct pcpu_lstats, GFP_KERNEL_ACCOUNT);
}

/* Fault injection does not reach per-CPU memory that is there already otherwise. */
ALLOW_ERROR_INJECTION(netdev_helper_pcpu_lstats_alloc, NULL);

__netdev_helper void netdev_helper_pcpu_lstats_add(struct pcpu_lstats __percpu *stats,
						   unsigned int packets, unsigned int bytes)
{
	struct pcpu_lstats *lstats = this_cpu_ptr(stats);

	u64_stats_update_begin(&lstats->syncp);
	u64_stats_add(&lstats->bytes, bytes);
	u64_stats_add(&lstats->packets, packets);
	u64_stats_update_end(&lstats->syncp);
}

/* As dev_lstats_read(). */
__netdev_helper void netdev_helper_pcpu_lstats_read(const struct pcpu_lstats __percpu *stats,
						    u64 *packets, u64 *bytes)
{
	unsigned int cpu;

	*packets = 0;
	*bytes = 0;

	for_each_possible_cpu(cpu) {
		const struct pcpu_lstats *lstats = per_cpu_ptr(stats, cpu);
		u64 cpu_packets, cpu_bytes;
		unsigned int start;

		do {
			start = u64_stats_fetch_begin(&lstats->syncp);
			cpu_packets = u64_stats_read(&lstats->packets);
			cpu_bytes = u64_stats_read(&lstats->bytes);
		} while (u64_stats_fetch_retry(&lstats->syncp, start));
		*packets += cpu_packets;
		*bytes += cpu_bytes;
	}
}

/* With the flag, the device is the output device of its own local addresses. */
__netdev_helper void netdev_helper_set_l3mdev_master(struct net_device *dev, bool master)
{
	ASSERT_RTNL();

	if (master)
		dev->priv_flags |= IFF_L3MDEV_MASTER;
	else
		dev->priv_flags &= ~IFF_L3MDEV_MASTER;

	/* Routes that sockets keep may lead over the other device now. */
	rt_genid_bump_all(dev_net(dev));
}

__netdev_helper bool netdev_helper_ipv6_nonlocal_bind(const struct net_device *dev)
{
#if IS_ENABLED(CONFIG_IPV6)
	return READ_ONCE(dev_net(dev)->ipv6.sysctl.ip_nonlocal_bind);
#else
	return false;
#endif
}

__netdev_helper void netdev_helper_info_ratelimited(const struct net_device *dev, const char *text)
{
	if (net_ratelimit())
		netdev_info(dev, "%s\n", text);
}

__netdev_helper bool netdev_helper_running(const struct net_device *dev)
{
	return netif_running(dev);
}

__netdev_helper void netdev_helper_eth_hw_addr_random(struct net_device *dev)
{
	eth_hw_addr_random(dev);
}

__netdev_helper void netdev_helper_lockdep_set_classes(struct net_device *dev)
{
	netdev_lockdep_set_classes(dev);
}

/*
 * What inetdev_event() and ipv6_add_dev() set at NETDEV_REGISTER for a device
 * that has IFF_LOOPBACK at that moment. RTNL is held.
 */
__netdev_helper void netdev_helper_loopback_conf(struct net_device *dev)
{
	struct in_device *in_dev = __in_dev_get_rtnl(dev);
	struct inet6_dev *idev = __in6_dev_get(dev);

	ASSERT_RTNL();

	if (in_dev) {
		IN_DEV_CONF_SET(in_dev, NOXFRM, 1);
		IN_DEV_CONF_SET(in_dev, NOPOLICY, 1);
	}
#if IS_ENABLED(CONFIG_IPV6)
	if (idev)
		WRITE_ONCE(idev->cnf.use_tempaddr, -1);
#endif
}

/* NAPI and rings */

/* Schedules NAPI from any context, process context included. */
__netdev_helper void netdev_helper_napi_schedule(struct napi_struct *napi)
{
	/* The poll runs at the end of this section, not in ksoftirqd. */
	local_bh_disable();
	napi_schedule(napi);
	local_bh_enable();
}

/* As above, where interrupts or bottom halves are disabled. */
__netdev_helper void netdev_helper_napi_schedule_atomic(struct napi_struct *napi)
{
	napi_schedule(napi);
}

__netdev_helper void netdev_helper_napi_add(struct net_device *dev, struct napi_struct *napi,
					    int (*poll)(struct napi_struct *napi, int budget),
					    unsigned int index)
{
	netif_napi_add_config(dev, napi, poll, index);
}

/* A grace period has to pass before it is freed. */
__netdev_helper void netdev_helper_napi_del(struct napi_struct *napi)
{
	__netif_napi_del(napi);
}

__netdev_helper void netdev_helper_napi_gro_receive(struct napi_struct *napi, struct sk_buff *skb)
{
	napi_gro_receive(napi, skb);
}

__netdev_helper bool netdev_helper_napi_in_busy_poll(const struct napi_struct *napi)
{
	return test_bit(NAPI_STATE_IN_BUSY_POLL, &napi->state);
}

__netdev_helper int netdev_helper_ring_init(struct ptr_ring *ring, int size)
{
	return ptr_ring_init(ring, size, GFP_KERNEL_ACCOUNT);
}

static void ring_drop(void *entry)
{
	unsigned long tag = (unsigned long)entry & NETDEV_RING_TAGS;

	entry -= tag;
	if (tag & NETDEV_RING_FRAME)
		xdp_return_frame(entry);
	else
		kfree_skb_reason(entry, SKB_DROP_REASON_DEV_READY);
}

/* Drops what is left in the ring. Nobody uses it any more. */
__netdev_helper void netdev_helper_ring_free(struct ptr_ring *ring)
{
	ptr_ring_cleanup(ring, ring_drop);
}

/* Drops what the ring holds; the caller is its only consumer. */
__netdev_helper void netdev_helper_ring_purge(struct ptr_ring *ring)
{
	void *entry;

	while ((entry = __ptr_ring_consume(ring)))
		ring_drop(entry);
}

/* What does not fit into a ring that is resized. RTNL is held. */
static void **ring_rest;
static unsigned int ring_rest_count;

static void ring_take_out(void *entry)
{
	ring_rest[ring_rest_count++] = entry;
}

/* Changes the ring's size. What does not fit any more is dropped, outside of its locks. */
__netdev_helper int netdev_helper_ring_resize(struct ptr_ring *ring, int size)
{
	int err;

	ASSERT_RTNL();

	ring_rest_count = 0;
	ring_rest = kvmalloc_array(ring->size, sizeof(*ring_rest), GFP_KERNEL);
	if (!ring_rest)
		return -ENOMEM;
	err = ptr_ring_resize(ring, size, GFP_KERNEL_ACCOUNT, ring_take_out);
	while (ring_rest_count)
		ring_drop(ring_rest[--ring_rest_count]);
	kvfree(ring_rest);
	return err;
}

/* For both, interrupts may be disabled: netpoll can send by a teql device above. */
__netdev_helper int netdev_helper_ring_produce(struct ptr_ring *ring, void *ptr)
{
	return ptr_ring_produce_any(ring, ptr);
}

__netdev_helper unsigned int netdev_helper_ring_produce_many(struct ptr_ring *ring, void **ptrs,
							     unsigned int count)
{
	unsigned long flags;
	unsigned int i;

	spin_lock_irqsave(&ring->producer_lock, flags);
	for (i = 0; i < count; i++)
		if (__ptr_ring_produce(ring, ptrs[i]))
			break;
	spin_unlock_irqrestore(&ring->producer_lock, flags);
	return i;
}

__netdev_helper void *netdev_helper_ring_consume(struct ptr_ring *ring)
{
	return __ptr_ring_consume(ring);
}

__netdev_helper bool netdev_helper_ring_empty(struct ptr_ring *ring)
{
	return __ptr_ring_empty(ring);
}

/* XDP */

/* The programs' kfuncs find the packet of any source in the same place. */
static_assert(offsetof(struct netdev_xdp_buff, skb) == offsetof(struct xdp_buff_xsk, cb));

__netdev_helper u32 netdev_helper_xdp_run(const struct bpf_prog *prog, struct xdp_buff *xdp)
{
	return bpf_prog_run_xdp(prog, xdp);
}

__netdev_helper void netdev_helper_xdp_exception(const struct net_device *dev,
						 const struct bpf_prog *prog, u32 action)
{
	trace_xdp_exception(dev, prog, action);
}

__netdev_helper bool netdev_helper_xdp_prog_has_frags(const struct bpf_prog *prog)
{
	return prog->aux->xdp_has_frags;
}

/* Frames freed meanwhile may belong to page pools of other NAPI instances. */
__netdev_helper void netdev_helper_xdp_begin(void)
{
	xdp_set_return_frame_no_direct();
}

__netdev_helper void netdev_helper_xdp_end(bool flush)
{
	if (flush)
		xdp_do_flush();
	xdp_clear_return_frame_no_direct();
}

/* Largest frame of a program without multi-buffer support. */
__netdev_helper u32 netdev_helper_xdp_max_linear(void)
{
	return SKB_WITH_OVERHEAD(PAGE_SIZE - XDP_PACKET_HEADROOM);
}

__netdev_helper struct page_pool *netdev_helper_page_pool_create(struct net_device *dev,
								 unsigned int size)
{
	const struct page_pool_params params = {
		.pool_size = size,
		.nid = NUMA_NO_NODE,
		.dev = &dev->dev,
		/* So that page-pool-get of netdev-genl has it. */
		.netdev = dev,
	};

	return page_pool_create(&params);
}

/*
 * As skb_pp_cow_data(), with a page for each part of the packet, so that
 * programs can lengthen it.
 */
static struct sk_buff *copy_to_pages(const struct sk_buff *skb, struct page_pool *pool)
{
	u32 off, len = min_t(u32, skb->len, SKB_WITH_OVERHEAD(PAGE_SIZE - XDP_PACKET_HEADROOM));
	struct sk_buff *copy;
	struct page *page;
	int i;

	if (skb->len - len > MAX_SKB_FRAGS * PAGE_SIZE)
		return NULL;

	page = page_pool_dev_alloc_pages(pool);
	if (!page)
		return NULL;
	copy = napi_build_skb(page_address(page), PAGE_SIZE);
	if (!copy) {
		page_pool_put_full_page(pool, page, true);
		return NULL;
	}
	skb_reserve(copy, XDP_PACKET_HEADROOM);
	skb_copy_header(copy, skb);
	skb_mark_for_recycle(copy);
	skb_headers_offset_update(copy, skb_headroom(copy) - skb_headroom(skb));
	if (skb_copy_bits(skb, 0, skb_put(copy, len), len))
		goto free;

	for (i = 0, off = len; off < skb->len; i++, off += len) {
		len = min_t(u32, skb->len - off, PAGE_SIZE);
		page = page_pool_dev_alloc_pages(pool);
		if (!page)
			goto free;
		skb_add_rx_frag(copy, i, page, 0, len, PAGE_SIZE);
		if (skb_copy_bits(skb, off, page_address(page), len))
			goto free;
	}
	return copy;

free:
	kfree_skb(copy);
	return NULL;
}

/*
 * Makes an XDP buffer of a received packet, in pages of the pool, with its
 * checksum filled in. buff->skb is the packet then, also after an error.
 */
__netdev_helper int netdev_helper_xdp_from_skb(struct netdev_xdp_buff *buff, struct sk_buff *skb,
					       struct page_pool *pool, struct xdp_rxq_info *rxq,
					       bool frags)
{
	struct xdp_buff *xdp = &buff->xdp;
	struct sk_buff *copy;
	int err;

	buff->skb = skb;
	__skb_push(skb, skb->data - skb_mac_header(skb));

	/*
	 * The features for both are off while there is a program; this is for
	 * what was on its way when it was attached.
	 */
	if (unlikely(skb_is_gso(skb)))
		return -EMSGSIZE;
	if (unlikely(skb->ip_summed == CHECKSUM_PARTIAL)) {
		err = skb_csum_hwoffload_help(skb, 0);
		if (err)
			return err;
	}

	copy = copy_to_pages(skb, pool);
	if (!copy)
		return -ENOMEM;
	consume_skb(skb);
	skb = copy;
	buff->skb = skb;
	if (unlikely(skb_is_nonlinear(skb) && !frags))
		return -EMSGSIZE;

	xdp_init_buff(xdp, PAGE_SIZE, rxq);
	xdp_prepare_buff(xdp, skb->head, skb_headroom(skb), skb_headlen(skb), true);
	if (skb_is_nonlinear(skb)) {
		skb_shinfo(skb)->xdp_frags_size = skb->data_len;
		xdp_buff_set_frags_flag(xdp);
	}
	return 0;
}

/* Gives the packet what the program made of it, and makes it ready to be received. */
__netdev_helper void netdev_helper_xdp_update_skb(struct netdev_xdp_buff *buff,
						  struct net_device *dev)
{
	struct xdp_buff *xdp = &buff->xdp;
	struct sk_buff *skb = buff->skb;

	skb->data = xdp->data;
	skb_set_tail_pointer(skb, xdp->data_end - xdp->data);
	skb->data_len = xdp_buff_has_frags(xdp) ? skb_shinfo(skb)->xdp_frags_size : 0;
	skb->len = skb->data_len + (xdp->data_end - xdp->data);
	/* Shares its place with xdp_frags_size. */
	skb_shinfo(skb)->destructor_arg = NULL;

	skb_reset_mac_header(skb);
	if (xdp->data != xdp->data_meta)
		skb_metadata_set(skb, xdp->data - xdp->data_meta);
	skb->pkt_type = PACKET_HOST;
	skb->protocol = eth_type_trans(skb, dev);
}

/* Redirects the pages of the packet, which live on without it. */
__netdev_helper int netdev_helper_xdp_redirect_skb(struct netdev_xdp_buff *buff,
						   struct net_device *dev,
						   const struct bpf_prog *prog)
{
	int err;

	kfree_skb_partial(buff->skb, true);
	err = xdp_do_redirect(dev, &buff->xdp, prog);
	if (err)
		xdp_return_buff(&buff->xdp);
	return err;
}

__netdev_helper u32 netdev_helper_skb_hash(struct sk_buff *skb, bool *l4)
{
	u32 hash = skb_get_hash(skb);

	*l4 = skb->l4_hash;
	return hash;
}

__netdev_helper u32 netdev_helper_xdp_frame_len(const struct xdp_frame *frame)
{
	return xdp_get_frame_len(frame);
}

__netdev_helper bool netdev_helper_xdp_frame_has_frags(const struct xdp_frame *frame)
{
	return xdp_frame_has_frags(frame);
}

/* rxq is a copy of the queue's, to tell where the frame's memory is from. */
__netdev_helper u32 netdev_helper_xdp_run_frame(const struct bpf_prog *prog,
						struct netdev_xdp_buff *buff,
						struct xdp_frame *frame,
						struct xdp_rxq_info *rxq)
{
	xdp_convert_frame_to_buff(frame, &buff->xdp);
	buff->xdp.rxq = rxq;
	buff->skb = NULL;
	rxq->mem.type = frame->mem_type;
	return bpf_prog_run_xdp(prog, &buff->xdp);
}

__netdev_helper int netdev_helper_xdp_update_frame(struct xdp_buff *xdp, struct xdp_frame *frame)
{
	return xdp_update_frame_from_buff(xdp, frame);
}

/* AF_XDP */

/*
 * The core wants a pool of zero-copy to be mapped for DMA. The frames are only
 * touched by the CPU, by their virtual address, where they are contiguous.
 */
__netdev_helper int netdev_helper_xsk_pool_map(struct xsk_buff_pool *pool)
{
	u32 i, count = pool->umem->npgs;

	pool->dma_pages = kvcalloc(count, sizeof(*pool->dma_pages), GFP_KERNEL_ACCOUNT);
	if (!pool->dma_pages)
		return -ENOMEM;
	for (i = 0; i < count; i++)
		pool->dma_pages[i] = XSK_NEXT_PG_CONTIG_MASK;
	pool->dma_pages_cnt = count;
	return 0;
}

__netdev_helper void netdev_helper_xsk_pool_unmap(struct xsk_buff_pool *pool)
{
	kvfree(pool->dma_pages);
	pool->dma_pages = NULL;
	pool->dma_pages_cnt = 0;
}

__netdev_helper bool netdev_helper_xsk_pool_is_sg(const struct xsk_buff_pool *pool)
{
	return pool->umem->flags & XDP_UMEM_SG_FLAG;
}

/* RTNL is held. The pool of a closed socket stays bound until a work item of the core runs. */
__netdev_helper bool netdev_helper_xsk_pool_is_used(const struct xsk_buff_pool *pool)
{
	struct net *net = dev_net(pool->netdev);
	bool used = false;
	struct sock *sk;

	ASSERT_RTNL();

	mutex_lock(&net->xdp.lock);
	sk_for_each(sk, &net->xdp.list)
		used |= container_of(sk, struct xdp_sock, sk)->pool == pool;
	mutex_unlock(&net->xdp.lock);
	return used;
}

/* As xp_assign_dev() computes it. */
__netdev_helper u32 netdev_helper_xsk_pool_frame_size(struct xsk_buff_pool *pool)
{
	u32 tailroom = xsk_pool_get_tailroom(netdev_helper_xsk_pool_is_sg(pool));

	return ALIGN_DOWN(__xsk_pool_get_rx_frame_size(pool) - tailroom, 128);
}

__netdev_helper void netdev_helper_xsk_pool_set_rxq(struct xsk_buff_pool *pool,
						    struct xdp_rxq_info *rxq)
{
	xsk_pool_set_rxq_info(pool, rxq);
}

/* memcpy(), without the start-up cost of its string instruction for small frames. */
static __always_inline void copy_frame(void *to, const void *from, u32 len)
{
	if (len > 256) {
		memcpy(to, from, len);
	} else if (len >= 32) {
		const void *last = from + len - 32;
		void *to_last = to + len - 32;

#ifdef __clang__
#pragma clang loop unroll(disable)
#endif
		for (; from < last; to += 32, from += 32)
			__builtin_memcpy(to, from, 32);
		/* Overlaps with what was copied, unless len is a multiple of 32. */
		__builtin_memcpy(to_last, last, 32);
	} else {
		for (; len >= 4; len -= 4, to += 4, from += 4)
			__builtin_memcpy(to, from, 4);
		for (; len; len--, to++, from++)
			*(u8 *)to = *(const u8 *)from;
	}
}

/*
 * Fills a receive buffer. The other side may write to the frame meanwhile: it
 * is read once, and nothing in it is relied on.
 */
__netdev_helper void netdev_helper_xsk_fill(struct xdp_buff *xdp, const void *from, u32 len)
{
	xsk_buff_set_size(xdp, len);
	copy_frame(xdp->data, from, len);
}

/* Appends to a receive buffer. */
__netdev_helper void netdev_helper_xsk_append(struct xdp_buff *xdp, const void *from, u32 len)
{
	memcpy(xdp->data_end, from, len);
	xdp->data_end += len;
}

/*
 * Fills in the checksum of a packet in count buffers as skb_checksum_help()
 * does. It covers what begins at start, and goes to offset bytes after that,
 * which is in the packet.
 */
__netdev_helper void netdev_helper_xsk_checksum(struct xdp_buff **xdp, u32 count, u32 start,
						u32 offset)
{
	u32 i, j, len, skip = start, summed = 0, at = start + offset;
	__wsum sum = 0;
	__sum16 folded;

	for (i = 0; i < count; i++) {
		len = xdp[i]->data_end - xdp[i]->data;
		if (skip < len) {
			len -= skip;
			sum = csum_block_add(sum, csum_partial(xdp[i]->data + skip, len, 0),
					     summed);
			summed += len;
			skip = 0;
		} else {
			skip -= len;
		}
	}

	folded = csum_fold(sum) ?: CSUM_MANGLED_0;
	for (i = 0, j = 0; i < count && j < sizeof(folded); i++) {
		len = xdp[i]->data_end - xdp[i]->data;
		for (; at < len && j < sizeof(folded); at++, j++)
			*(u8 *)(xdp[i]->data + at) = ((u8 *)&folded)[j];
		at -= len;
	}
}

/* Returns where user space wants to have the time, or NULL. */
__netdev_helper struct xsk_tx_metadata *
netdev_helper_xsk_tx_metadata_request(struct xsk_buff_pool *pool, struct xsk_tx_metadata *meta,
				      const struct xsk_tx_metadata_ops *ops, void *priv)
{
	xsk_tx_metadata_request(pool, &meta, ops, priv);
	return meta;
}

__netdev_helper void netdev_helper_xsk_tx_metadata_complete(struct xsk_tx_metadata *meta,
							    const struct xsk_tx_metadata_ops *ops)
{
	struct xsk_tx_metadata_compl compl;

	xsk_tx_metadata_to_compl(meta, &compl);
	xsk_tx_metadata_complete(&compl, ops, NULL);
}

/* The same frame can be on the fill ring twice: the buffer is in use already, or free. */
__netdev_helper bool netdev_helper_xsk_is_listed(struct xdp_buff *xdp)
{
	return !list_empty(&container_of(xdp, struct xdp_buff_xsk, xdp)->list_node);
}

/*
 * As xsk_buff_add_frag(), for the fragment with that index: the number is not
 * taken from the frame, where user space can change it.
 */
__netdev_helper void netdev_helper_xsk_add_frag(struct xdp_buff *head, struct xdp_buff *frag,
						u32 index)
{
	struct skb_shared_info *sinfo = xdp_get_shared_info_from_buff(head);
	struct xdp_buff_xsk *xskb = container_of(frag, struct xdp_buff_xsk, xdp);
	u32 len = frag->data_end - frag->data;

	if (!index) {
		sinfo->xdp_frags_size = 0;
		sinfo->xdp_frags_truesize = 0;
		xdp_buff_set_frags_flag(head);
	}
	__skb_fill_netmem_desc_noacc(sinfo, index, virt_to_netmem(frag->data),
				     offset_in_page(frag->data), len);
	sinfo->xdp_frags_size += len;
	sinfo->xdp_frags_truesize += frag->frame_sz;
	sinfo->nr_frags = index + 1;
	list_add_tail(&xskb->list_node, &xskb->pool->xskb_list);
}

__netdev_helper bool netdev_helper_xsk_has_frags(const struct xdp_buff *xdp)
{
	return xdp_buff_has_frags(xdp);
}

/* A packet of the stack with len bytes of room, for frames that have no receive buffer. */
__netdev_helper struct sk_buff *netdev_helper_xsk_alloc_skb(struct net_device *dev, u32 len)
{
	struct sk_buff *skb;
	u32 linear = min_t(u32, len, SKB_WITH_OVERHEAD(PAGE_SIZE - NET_SKB_PAD));
	int err;

	skb = alloc_skb_with_frags(NET_SKB_PAD + linear, len - linear, 0, &err, GFP_ATOMIC);
	if (!skb)
		return NULL;
	skb_reserve(skb, NET_SKB_PAD);
	skb_put(skb, linear);
	skb->data_len = len - linear;
	skb->len += skb->data_len;
	skb->dev = dev;
	return skb;
}

/*
 * Makes an skb of a received packet, whose buffers are freed then.
 * xdp_build_skb_from_zc() has no room for skb_shared_info behind a frame of a
 * pool without multi-buffer, and believes what the frame says of its fragments.
 */
__netdev_helper struct sk_buff *netdev_helper_xsk_build_skb(struct xdp_buff *xdp,
							    struct net_device *dev)
{
	struct list_head *frags = &container_of(xdp, struct xdp_buff_xsk, xdp)->pool->xskb_list;
	u32 meta = xdp->data - xdp->data_meta, len = xdp->data_end - xdp->data_meta;
	bool has_frags = xdp_buff_has_frags(xdp);
	u32 total = len, offset = len;
	struct xdp_buff_xsk *frag;
	struct sk_buff *skb;

	if (has_frags)
		list_for_each_entry(frag, frags, list_node)
			total += frag->xdp.data_end - frag->xdp.data;
	skb = netdev_helper_xsk_alloc_skb(dev, total);
	if (!skb)
		return NULL;
	if (skb_store_bits(skb, 0, xdp->data_meta, len))
		goto free;
	if (has_frags) {
		list_for_each_entry(frag, frags, list_node) {
			len = frag->xdp.data_end - frag->xdp.data;
			if (skb_store_bits(skb, offset, frag->xdp.data, len))
				goto free;
			offset += len;
		}
	}
	xsk_buff_free(xdp);

	if (meta) {
		__skb_pull(skb, meta);
		skb_metadata_set(skb, meta);
	}
	skb->protocol = eth_type_trans(skb, dev);
	return skb;

free:
	kfree_skb(skb);
	return NULL;
}

/*
 * As xdp_do_redirect(), which leaks the copy of a packet that a map does not
 * take, and copies the first frame only. The packet is gone, also after an error.
 */
__netdev_helper int netdev_helper_xsk_redirect(struct net_device *dev, struct xdp_buff *xdp,
					       const struct bpf_prog *prog)
{
	struct xdp_frame *frame;
	int err;

	if (likely(bpf_net_ctx_get_ri()->map_type == BPF_MAP_TYPE_XSKMAP)) {
		err = xdp_do_redirect(dev, xdp, prog);
		/* For some errors it was freed already, which xp_free() finds out. */
		if (unlikely(err))
			xsk_buff_free(xdp);
		return err;
	}

	frame = xdp_buff_has_frags(xdp) ? NULL : xdp_convert_zc_to_xdp_frame(xdp);
	if (!frame) {
		xsk_buff_free(xdp);
		return -EOVERFLOW;
	}
	err = xdp_do_redirect_frame(dev, xdp, frame, prog);
	if (err)
		xdp_return_frame(frame);
	return err;
}

/* Both sides of a pool change its byte of flags, each in its own poll. */
__netdev_helper void netdev_helper_xsk_need_wakeup(struct xsk_buff_pool *pool, bool tx, bool need)
{
	spin_lock(&pool->rx_lock);
	if (tx && need)
		xsk_set_tx_need_wakeup(pool);
	else if (tx)
		xsk_clear_tx_need_wakeup(pool);
	else if (need)
		xsk_set_rx_need_wakeup(pool);
	else
		xsk_clear_rx_need_wakeup(pool);
	spin_unlock(&pool->rx_lock);
}

__netdev_helper void netdev_helper_xsk_free(struct xdp_buff *xdp)
{
	xsk_buff_free(xdp);
}

__netdev_helper u32 netdev_helper_xsk_alloc_batch(struct xsk_buff_pool *pool,
						  struct xdp_buff **xdp, u32 max)
{
	return xsk_buff_alloc_batch(pool, xdp, max);
}

__netdev_helper void netdev_helper_xsk_skb_done(struct sk_buff *skb, struct net_device *dev)
{
	skb->protocol = eth_type_trans(skb, dev);
}

__netdev_helper void netdev_helper_smp_mb(void)
{
	/* The callers say what it orders. */
	smp_mb();
}

/* Only one CPU at a time changes the counter, others read it. */
__netdev_helper void netdev_helper_count(u64 *counter, u64 n)
{
	WRITE_ONCE(*counter, *counter + n);
}

__netdev_helper u32 netdev_helper_cpu(void)
{
	return raw_smp_processor_id();
}

#if IS_BUILTIN(CONFIG_KUNIT)

struct net_device *netdev_helper_test_lo(void)
{
	return init_net.loopback_dev;
}

void netdev_helper_test_bh_disable(void)
{
	local_bh_disable();
}

void netdev_helper_test_bh_enable(void)
{
	local_bh_enable();
}

/* Lets the driver transmit a frame of which headlen bytes are linear. */
int netdev_helper_test_xmit(struct net_device *dev, const void *frame, unsigned int len,
			    unsigned int headlen, u16 queue)
{
	struct sk_buff *skb;
	int err;

	skb = alloc_skb_with_frags(headlen, len - headlen, 0, &err, GFP_KERNEL);
	if (!skb)
		return err;

	skb_put(skb, headlen);
	skb->data_len = len - headlen;
	skb->len += skb->data_len;
	err = skb_store_bits(skb, 0, frame, len);
	if (err) {
		kfree_skb(skb);
		return err;
	}
	skb->dev = dev;
	skb_set_queue_mapping(skb, queue);

	local_bh_disable();
	dev->netdev_ops->ndo_start_xmit(skb, dev);
	local_bh_enable();
	return 0;
}

#endif /* CONFIG_KUNIT */
