/* SPDX-License-Identifier: GPL-2.0 */
/*
 * C helpers for what is static inline or a macro in the kernel's headers. On
 * the packet path there is one helper for each sequence, not for each inline.
 */
#ifndef _NETDEV_HELPERS_H
#define _NETDEV_HELPERS_H

#include <linux/filter.h>
#include <linux/netdevice.h>
#include <linux/ptr_ring.h>
#include <linux/skbuff.h>
#include <net/xdp.h>
#include <net/xdp_sock_drv.h>

#ifdef NETDEV_INLINE_HELPERS
#define __netdev_helper __always_inline
#else
#define __netdev_helper
#endif

void netdev_helper_skb_into_rx(struct sk_buff *skb, struct net_device *dev);
void netdev_helper_skb_consume(struct sk_buff *skb);
void netdev_helper_lstats_add(struct net_device *dev, unsigned int len);

struct pcpu_lstats __percpu *netdev_helper_pcpu_lstats_alloc(void);
void netdev_helper_pcpu_lstats_add(struct pcpu_lstats __percpu *stats,
				   unsigned int packets, unsigned int bytes);
void netdev_helper_pcpu_lstats_read(const struct pcpu_lstats __percpu *stats,
				    u64 *packets, u64 *bytes);

void netdev_helper_set_l3mdev_master(struct net_device *dev, bool master);
bool netdev_helper_ipv6_nonlocal_bind(const struct net_device *dev);
void netdev_helper_info_ratelimited(const struct net_device *dev, const char *text);
bool netdev_helper_running(const struct net_device *dev);
void netdev_helper_eth_hw_addr_random(struct net_device *dev);
void netdev_helper_lockdep_set_classes(struct net_device *dev);
void netdev_helper_loopback_conf(struct net_device *dev);

void netdev_helper_napi_schedule(struct napi_struct *napi);
void netdev_helper_napi_schedule_atomic(struct napi_struct *napi);
void netdev_helper_napi_add(struct net_device *dev, struct napi_struct *napi,
			    int (*poll)(struct napi_struct *napi, int budget), unsigned int index);
void netdev_helper_napi_del(struct napi_struct *napi);
void netdev_helper_napi_gro_receive(struct napi_struct *napi, struct sk_buff *skb);
bool netdev_helper_napi_in_busy_poll(const struct napi_struct *napi);

/* Lowest bits of what a ring holds: a frame, not an skb; one from a program of the same device. */
#define NETDEV_RING_FRAME	1
#define NETDEV_RING_RETURNED	2
#define NETDEV_RING_TAGS	(NETDEV_RING_FRAME | NETDEV_RING_RETURNED)

int netdev_helper_ring_init(struct ptr_ring *ring, int size);
void netdev_helper_ring_free(struct ptr_ring *ring);
void netdev_helper_ring_purge(struct ptr_ring *ring);
int netdev_helper_ring_resize(struct ptr_ring *ring, int size);
int netdev_helper_ring_produce(struct ptr_ring *ring, void *ptr);
unsigned int netdev_helper_ring_produce_many(struct ptr_ring *ring, void **ptrs,
					     unsigned int count);
void *netdev_helper_ring_consume(struct ptr_ring *ring);
bool netdev_helper_ring_empty(struct ptr_ring *ring);

/* A packet as programs see it, and the skb that it lies in, if any. */
struct netdev_xdp_buff {
	struct xdp_buff xdp;
	struct sk_buff *skb;
};

u32 netdev_helper_xdp_run(const struct bpf_prog *prog, struct xdp_buff *xdp);
void netdev_helper_xdp_exception(const struct net_device *dev, const struct bpf_prog *prog,
				 u32 action);
bool netdev_helper_xdp_prog_has_frags(const struct bpf_prog *prog);
void netdev_helper_xdp_begin(void);
void netdev_helper_xdp_end(bool flush);
u32 netdev_helper_xdp_max_linear(void);
struct page_pool *netdev_helper_page_pool_create(struct net_device *dev, unsigned int size);
int netdev_helper_xdp_from_skb(struct netdev_xdp_buff *buff, struct sk_buff *skb,
			       struct page_pool *pool, struct xdp_rxq_info *rxq, bool frags);
void netdev_helper_xdp_update_skb(struct netdev_xdp_buff *buff, struct net_device *dev);
int netdev_helper_xdp_redirect_skb(struct netdev_xdp_buff *buff, struct net_device *dev,
				   const struct bpf_prog *prog);
u32 netdev_helper_skb_hash(struct sk_buff *skb, bool *l4);
u32 netdev_helper_xdp_frame_len(const struct xdp_frame *frame);
bool netdev_helper_xdp_frame_has_frags(const struct xdp_frame *frame);
u32 netdev_helper_xdp_run_frame(const struct bpf_prog *prog, struct netdev_xdp_buff *buff,
				struct xdp_frame *frame, struct xdp_rxq_info *rxq);
int netdev_helper_xdp_update_frame(struct xdp_buff *xdp, struct xdp_frame *frame);

int netdev_helper_xsk_pool_map(struct xsk_buff_pool *pool);
void netdev_helper_xsk_pool_unmap(struct xsk_buff_pool *pool);
bool netdev_helper_xsk_pool_is_sg(const struct xsk_buff_pool *pool);
bool netdev_helper_xsk_pool_is_used(const struct xsk_buff_pool *pool);
u32 netdev_helper_xsk_pool_frame_size(struct xsk_buff_pool *pool);
void netdev_helper_xsk_pool_set_rxq(struct xsk_buff_pool *pool, struct xdp_rxq_info *rxq);
void netdev_helper_xsk_fill(struct xdp_buff *xdp, const void *from, u32 len);
void netdev_helper_xsk_append(struct xdp_buff *xdp, const void *from, u32 len);
void netdev_helper_xsk_checksum(struct xdp_buff **xdp, u32 count, u32 start, u32 offset);
struct xsk_tx_metadata *
netdev_helper_xsk_tx_metadata_request(struct xsk_buff_pool *pool, struct xsk_tx_metadata *meta,
				      const struct xsk_tx_metadata_ops *ops, void *priv);
void netdev_helper_xsk_tx_metadata_complete(struct xsk_tx_metadata *meta,
					    const struct xsk_tx_metadata_ops *ops);
bool netdev_helper_xsk_is_listed(struct xdp_buff *xdp);
void netdev_helper_xsk_add_frag(struct xdp_buff *head, struct xdp_buff *frag, u32 index);
bool netdev_helper_xsk_has_frags(const struct xdp_buff *xdp);
struct sk_buff *netdev_helper_xsk_build_skb(struct xdp_buff *xdp, struct net_device *dev);
int netdev_helper_xsk_redirect(struct net_device *dev, struct xdp_buff *xdp,
			       const struct bpf_prog *prog);
void netdev_helper_xsk_need_wakeup(struct xsk_buff_pool *pool, bool tx, bool need);
void netdev_helper_xsk_free(struct xdp_buff *xdp);
u32 netdev_helper_xsk_alloc_batch(struct xsk_buff_pool *pool, struct xdp_buff **xdp, u32 max);
struct sk_buff *netdev_helper_xsk_alloc_skb(struct net_device *dev, u32 len);
void netdev_helper_xsk_skb_done(struct sk_buff *skb, struct net_device *dev);
void netdev_helper_smp_mb(void);
void netdev_helper_count(u64 *counter, u64 n);
u32 netdev_helper_cpu(void);

#if IS_BUILTIN(CONFIG_KUNIT)
struct net_device *netdev_helper_test_lo(void);
void netdev_helper_test_bh_disable(void);
void netdev_helper_test_bh_enable(void);
int netdev_helper_test_xmit(struct net_device *dev, const void *frame, unsigned int len,
			    unsigned int headlen, u16 queue);
#endif

#endif /* _NETDEV_HELPERS_H */
