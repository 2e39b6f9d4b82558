// SPDX-License-Identifier: GPL-2.0
/*
 * Gives the packets of a queue to the AF_XDP socket of this queue.
 *
 * What it leaves alone goes on to the stack, and so does every packet of a queue
 * without a socket: the device stays usable for everything else.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, 4096); /* the most queues that a device can have */
	__type(key, __u32);
	__type(value, __u32);
} sockets SEC(".maps");

/* The EtherType of the packets that are meant; 0 for all. Set by the loader. */
const volatile __u16 ether_type = 0;

/*
 * With "frags", so that a device with a large MTU takes the program, too. Frames of
 * several buffers are not for these sockets, and a length is never looked at here.
 */
SEC("xdp.frags")
int redirect(struct xdp_md *ctx)
{
	void *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = (void *)(long)ctx->data;

	if (ether_type && ((void *)(eth + 1) > end || eth->h_proto != bpf_htons(ether_type)))
		return XDP_PASS;

	return bpf_redirect_map(&sockets, ctx->rx_queue_index, XDP_PASS);
}

char _license[] SEC("license") = "GPL";
