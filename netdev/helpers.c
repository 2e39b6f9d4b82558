// SPDX-License-Identifier: GPL-2.0

#include <linux/etherdevice.h>
#include <linux/inetdevice.h>
#include <linux/net_tstamp.h>
#include <net/addrconf.h>
#include <net/dst.h>
#include <net/netdev_lock.h>
#include <net/sock.h>

#include "helpers.h"

/*
 * Turns a packet round, from the end of its transmission to its arrival at dev:
 * the steps of loopback_xmit() before __netif_rx(), in its order.
 */
void netdev_helper_skb_into_rx(struct sk_buff *skb, struct net_device *dev)
{
	skb_tx_timestamp(skb);

	/* do not fool net_timestamp_check() with various clock bases */
	skb_clear_tstamp(skb);

	skb_orphan(skb);

	/* The backlog outlives the RCU section that protects the dst. */
	skb_dst_force(skb);

	skb->protocol = eth_type_trans(skb, dev);
}

void netdev_helper_lstats_add(struct net_device *dev, unsigned int len)
{
	dev_lstats_add(dev, len);
}

void netdev_helper_lockdep_set_classes(struct net_device *dev)
{
	netdev_lockdep_set_classes(dev);
}

/*
 * What inetdev_event() and ipv6_add_dev() set at NETDEV_REGISTER for a device
 * that has IFF_LOOPBACK at that moment. RTNL is held.
 */
void netdev_helper_loopback_conf(struct net_device *dev)
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
		idev->cnf.use_tempaddr = -1;
#endif
}
