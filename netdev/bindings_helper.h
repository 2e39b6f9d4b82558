/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What bindgen reads. Constants that it cannot evaluate (casts, function-like
 * macros) are given a name with the prefix RUST_CONST_HELPER_, which the build
 * takes off again.
 */

#include <linux/bpf.h>
#include <linux/etherdevice.h>
#include <linux/ethtool.h>
#include <linux/if_arp.h>
#include <linux/inetdevice.h>
#include <linux/netdevice.h>
#include <linux/ptr_ring.h>
#include <linux/rtnetlink.h>
#include <linux/skbuff.h>
#include <net/addrconf.h>
#include <net/dropreason.h>
#include <net/l3mdev.h>
#include <net/net_namespace.h>
#include <net/netdev_queues.h>
#include <net/rtnetlink.h>
#include <net/page_pool/types.h>
#include <net/tcp.h>
#include <net/xdp.h>
#include <net/xdp_sock_drv.h>

#include "helpers.h"

const u32 RUST_CONST_HELPER_MAX_TCP_HEADER = MAX_TCP_HEADER;
const u64 RUST_CONST_HELPER_NETIF_F_SG = NETIF_F_SG;
const u64 RUST_CONST_HELPER_NETIF_F_FRAGLIST = NETIF_F_FRAGLIST;
const u64 RUST_CONST_HELPER_NETIF_F_GSO_SOFTWARE = NETIF_F_GSO_SOFTWARE;
const u64 RUST_CONST_HELPER_NETIF_F_HW_CSUM = NETIF_F_HW_CSUM;
const u64 RUST_CONST_HELPER_NETIF_F_RXCSUM = NETIF_F_RXCSUM;
const u64 RUST_CONST_HELPER_NETIF_F_SCTP_CRC = NETIF_F_SCTP_CRC;
const u64 RUST_CONST_HELPER_NETIF_F_HIGHDMA = NETIF_F_HIGHDMA;
const u64 RUST_CONST_HELPER_NETIF_F_VLAN_CHALLENGED = NETIF_F_VLAN_CHALLENGED;
const u64 RUST_CONST_HELPER_NETIF_F_LOOPBACK = NETIF_F_LOOPBACK;
const u64 RUST_CONST_HELPER_NETIF_F_NOCACHE_COPY = NETIF_F_NOCACHE_COPY;
const u64 RUST_CONST_HELPER_XSK_UNALIGNED_BUF_ADDR_MASK = XSK_UNALIGNED_BUF_ADDR_MASK;
