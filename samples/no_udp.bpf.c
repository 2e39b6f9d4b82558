// SPDX-License-Identifier: GPL-2.0
/*
 * An XDP program that drops UDP over IPv4, see Documentation/cookbook.rst.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>

__attribute__((section("xdp"), used)) int no_udp(struct xdp_md *ctx)
{
	struct ethhdr *eth = (void *)(long)ctx->data;
	struct iphdr *ip = (void *)(eth + 1);

	if ((void *)(ip + 1) > (void *)(long)ctx->data_end)
		return XDP_PASS;
	if (eth->h_proto != __builtin_bswap16(ETH_P_IP) || ip->protocol != IPPROTO_UDP)
		return XDP_PASS;
	return XDP_DROP;
}
