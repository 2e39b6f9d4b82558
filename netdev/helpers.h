/* SPDX-License-Identifier: GPL-2.0 */
/*
 * C helpers for what is static inline or a macro in the kernel's headers. On
 * the packet path there is one helper for each sequence, not for each inline.
 */
#ifndef _NETDEV_HELPERS_H
#define _NETDEV_HELPERS_H

#include <linux/netdevice.h>
#include <linux/skbuff.h>

void netdev_helper_skb_into_rx(struct sk_buff *skb, struct net_device *dev);
void netdev_helper_lstats_add(struct net_device *dev, unsigned int len);
void netdev_helper_lockdep_set_classes(struct net_device *dev);
void netdev_helper_loopback_conf(struct net_device *dev);

#endif /* _NETDEV_HELPERS_H */
