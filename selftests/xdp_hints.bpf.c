// SPDX-License-Identifier: GPL-2.0
/*
 * Asks the device about each IPv4 packet and remembers the answers. A program
 * of its own, since it is loaded for one device, by a kernel with BTF.
 */

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/types.h>

#define SEC(name) __attribute__((section(name), used))
#define __uint(name, val) int(*name)[val]
#define __type(name, val) typeof(val) *name

static void *(*bpf_map_lookup_elem)(void *map, const void *key) =
	(void *)BPF_FUNC_map_lookup_elem;

enum xdp_rss_hash_type { XDP_RSS_TYPE_NONE };

extern int bpf_xdp_metadata_rx_timestamp(const struct xdp_md *ctx, __u64 *timestamp)
	SEC(".ksyms");
extern int bpf_xdp_metadata_rx_hash(const struct xdp_md *ctx, __u32 *hash,
				    enum xdp_rss_hash_type *rss_type) SEC(".ksyms");

/* The last answers: what the functions returned, and what they told. */
struct answers {
	__s32 timestamp_result;
	__s32 hash_result;
	__u64 timestamp;
	__u32 hash;
	__u32 hash_type;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct answers);
} answers SEC(".maps");

SEC("xdp")
int hints(struct xdp_md *ctx)
{
	void *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = (void *)(long)ctx->data;
	enum xdp_rss_hash_type hash_type = XDP_RSS_TYPE_NONE;
	struct answers *last;
	__u64 timestamp = 0;
	__u32 key = 0, hash = 0;

	if ((void *)(eth + 1) > end || eth->h_proto != __builtin_bswap16(ETH_P_IP))
		return XDP_PASS;
	last = bpf_map_lookup_elem(&answers, &key);
	if (!last)
		return XDP_PASS;
	last->timestamp_result = bpf_xdp_metadata_rx_timestamp(ctx, &timestamp);
	last->timestamp = timestamp;
	last->hash_result = bpf_xdp_metadata_rx_hash(ctx, &hash, &hash_type);
	last->hash = hash;
	last->hash_type = hash_type;
	return XDP_PASS;
}

char _license[] SEC("license") = "GPL";
