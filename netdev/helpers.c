// SPDX-License-Identifier: GPL-2.0

#include <linux/etherdevice.h>
#include <linux/inetdevice.h>
#include <linux/net_tstamp.h>
#include <net/addrconf.h>
#include <net/dst.h>
#include <net/net_namespace.h>
#include <net/netdev_lock.h>
#include <net/sock.h>

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

__netdev_helper void netdev_helper_pcpu_lstats_add(struct pcpu_lstats __percpu *stats, unsigned int len)
{
	struct pcpu_lstats *lstats = this_cpu_ptr(stats);

	u64_stats_update_begin(&lstats->syncp);
	u64_stats_add(&lstats->bytes, len);
	u64_stats_inc(&lstats->packets);
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
