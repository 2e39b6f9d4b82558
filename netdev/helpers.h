/* SPDX-License-Identifier: GPL-2.0 */
/*
 * C helpers for what is static inline or a macro in the kernel's headers. On
 * the packet path there is one helper for each sequence, not for each inline.
 */
#ifndef _NETDEV_HELPERS_H
#define _NETDEV_HELPERS_H

#include <linux/netdevice.h>
#include <linux/skbuff.h>

#ifdef NETDEV_INLINE_HELPERS
#define __netdev_helper __always_inline
#else
#define __netdev_helper
#endif

void netdev_helper_skb_into_rx(struct sk_buff *skb, struct net_device *dev);
void netdev_helper_skb_consume(struct sk_buff *skb);
void netdev_helper_lstats_add(struct net_device *dev, unsigned int len);

struct pcpu_lstats __percpu *netdev_helper_pcpu_lstats_alloc(void);
void netdev_helper_pcpu_lstats_add(struct pcpu_lstats __percpu *stats, unsigned int len);
void netdev_helper_pcpu_lstats_read(const struct pcpu_lstats __percpu *stats,
				    u64 *packets, u64 *bytes);

void netdev_helper_set_l3mdev_master(struct net_device *dev, bool master);
bool netdev_helper_ipv6_nonlocal_bind(const struct net_device *dev);
void netdev_helper_info_ratelimited(const struct net_device *dev, const char *text);
void netdev_helper_eth_hw_addr_random(struct net_device *dev);
void netdev_helper_lockdep_set_classes(struct net_device *dev);
void netdev_helper_loopback_conf(struct net_device *dev);

#if IS_BUILTIN(CONFIG_KUNIT)
struct net_device *netdev_helper_test_lo(void);
void netdev_helper_test_bh_disable(void);
void netdev_helper_test_bh_enable(void);
int netdev_helper_test_xmit(struct net_device *dev, const void *frame, unsigned int len,
			    unsigned int headlen, u16 queue);
#endif

#endif /* _NETDEV_HELPERS_H */
