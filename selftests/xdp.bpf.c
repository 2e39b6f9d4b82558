// SPDX-License-Identifier: GPL-2.0
/*
 * The programs of the XDP tests. Each handles IPv4 and IPv6 packets to port
 * 9999 or with ICMP echo requests, and lets everything else pass, so that a
 * test knows what its program has seen.
 */

#include <linux/bpf.h>
#include <linux/types.h>

#define SEC(name) __attribute__((section(name), used))
#define __uint(name, val) int(*name)[val]
#define __type(name, val) typeof(val) *name
#define always_inline inline __attribute__((always_inline))

static long (*bpf_redirect_map)(void *map, __u64 key, __u64 flags) =
	(void *)BPF_FUNC_redirect_map;
static void *(*bpf_map_lookup_elem)(void *map, const void *key) =
	(void *)BPF_FUNC_map_lookup_elem;
static long (*bpf_xdp_adjust_head)(struct xdp_md *ctx, int delta) =
	(void *)BPF_FUNC_xdp_adjust_head;
static long (*bpf_xdp_adjust_tail)(struct xdp_md *ctx, int delta) =
	(void *)BPF_FUNC_xdp_adjust_tail;
static long (*bpf_xdp_adjust_meta)(struct xdp_md *ctx, int delta) =
	(void *)BPF_FUNC_xdp_adjust_meta;
static __s64 (*bpf_csum_diff)(__be32 *from, __u32 from_size, __be32 *to, __u32 to_size,
			      __wsum seed) = (void *)BPF_FUNC_csum_diff;
static __u64 (*bpf_xdp_get_buff_len)(struct xdp_md *ctx) = (void *)BPF_FUNC_xdp_get_buff_len;
static long (*bpf_xdp_load_bytes)(struct xdp_md *ctx, __u32 offset, void *buf, __u32 len) =
	(void *)BPF_FUNC_xdp_load_bytes;

/* What the programs have seen. */
struct seen {
	__u64 packets;
	__u64 bytes;
	__u64 bad_checksums;
	__u64 longest;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct seen);
} seen SEC(".maps");

/* Such a map is for programs with xdp.frags, or for those without. */
#define MAP(name, map_type, value_type)			\
	struct {					\
		__uint(type, map_type);			\
		__uint(max_entries, 4);			\
		__type(key, __u32);			\
		__type(value, value_type);		\
	} name SEC(".maps")

MAP(devices, BPF_MAP_TYPE_DEVMAP, __u32);
MAP(devices_frags, BPF_MAP_TYPE_DEVMAP, __u32);
MAP(forward, BPF_MAP_TYPE_DEVMAP, __u32);
MAP(forward_frags, BPF_MAP_TYPE_DEVMAP, __u32);
MAP(cpus, BPF_MAP_TYPE_CPUMAP, struct bpf_cpumap_val);
MAP(cpus_frags, BPF_MAP_TYPE_CPUMAP, struct bpf_cpumap_val);

struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, __u32);
} sockets SEC(".maps");

#define PORT 9999
#define ETH 14

static always_inline __u16 load16(struct xdp_md *ctx, __u32 offset)
{
	__u8 bytes[2] = {};

	bpf_xdp_load_bytes(ctx, offset, bytes, 2);
	return bytes[0] << 8 | bytes[1];
}

static always_inline __u8 load8(struct xdp_md *ctx, __u32 offset)
{
	__u8 byte = 0;

	bpf_xdp_load_bytes(ctx, offset, &byte, 1);
	return byte;
}

/* Offset of the transport header of a packet of the test, or 0. */
static always_inline __u32 transport(struct xdp_md *ctx)
{
	__u16 proto = load16(ctx, 12);
	__u32 offset;
	__u8 next;

	if (proto == 0x0800) {
		offset = ETH + 20;
		next = load8(ctx, ETH + 9);
	} else if (proto == 0x86dd) {
		offset = ETH + 40;
		next = load8(ctx, ETH + 6);
	} else {
		return 0;
	}
	/* TCP, UDP to the port, echo requests */
	if ((next == 6 || next == 17) && load16(ctx, offset + 2) == PORT)
		return offset;
	if (next == 1 && load8(ctx, offset) == 8)
		return offset;
	return 0;
}

static always_inline int take(struct xdp_md *ctx)
{
	__u32 key = 0;
	struct seen *value;
	__u64 len;

	if (!transport(ctx))
		return 0;
	value = bpf_map_lookup_elem(&seen, &key);
	if (!value)
		return 0;
	len = bpf_xdp_get_buff_len(ctx);
	__sync_fetch_and_add(&value->packets, 1);
	__sync_fetch_and_add(&value->bytes, len);
	if (len > value->longest)
		value->longest = len;
	return 1;
}

#define PROGRAM_IN(section, name, action)		\
	SEC(section) int name(struct xdp_md *ctx)	\
	{						\
		return take(ctx) ? (action) : XDP_PASS;	\
	}
#define PROGRAM(name, action)				\
	PROGRAM_IN("xdp", name, action)			\
	PROGRAM_IN("xdp.frags", name##_frags, action)

PROGRAM(pass, XDP_PASS)
PROGRAM(drop, XDP_DROP)
PROGRAM(aborted, XDP_ABORTED)
PROGRAM(tx, XDP_TX)
PROGRAM(invalid, 77)
PROGRAM(to_socket, bpf_redirect_map(&sockets, ctx->rx_queue_index, XDP_PASS))
PROGRAM_IN("xdp", to_device, bpf_redirect_map(&devices, 0, 0))
PROGRAM_IN("xdp.frags", to_device_frags, bpf_redirect_map(&devices_frags, 0, 0))
PROGRAM_IN("xdp", to_cpu, bpf_redirect_map(&cpus, 0, 0))
PROGRAM_IN("xdp.frags", to_cpu_frags, bpf_redirect_map(&cpus_frags, 0, 0))

/* For another device, whose packets go to the one of the map. */
SEC("xdp") int forward_to(struct xdp_md *ctx)
{
	return transport(ctx) ? bpf_redirect_map(&forward, 0, 0) : XDP_PASS;
}

/* The same, without their first 3000 bytes: what is left of 5000 is in two pieces, and short. */
SEC("xdp.frags") int forward_rest(struct xdp_md *ctx)
{
	if (!transport(ctx))
		return XDP_PASS;
	if (bpf_xdp_adjust_head(ctx, 3000))
		return XDP_ABORTED;
	return bpf_redirect_map(&forward_frags, 0, 0);
}

/* All packets, whatever they are. */
SEC("xdp.frags") int all_to_socket(struct xdp_md *ctx)
{
	return bpf_redirect_map(&sockets, ctx->rx_queue_index, XDP_PASS);
}

#define DATAGRAM 100

/* Checks the checksum of UDP datagrams of 100 bytes, with their header, over IPv4. */
SEC("xdp.frags") int checksum(struct xdp_md *ctx)
{
	__u32 offset = transport(ctx), key = 0;
	struct seen *value = bpf_map_lookup_elem(&seen, &key);
	/* The pseudo header, whose addresses come first, and the datagram. */
	__u8 bytes[12 + DATAGRAM] = { [9] = 17, [11] = DATAGRAM };
	__u32 sum;

	if (!offset || !take(ctx) || !value || load8(ctx, ETH + 9) != 17 ||
	    load16(ctx, offset + 4) != DATAGRAM)
		return XDP_PASS;
	if (bpf_xdp_load_bytes(ctx, ETH + 12, bytes, 8) ||
	    bpf_xdp_load_bytes(ctx, offset, bytes + 12, DATAGRAM))
		return XDP_ABORTED;
	sum = bpf_csum_diff(0, 0, (__be32 *)bytes, sizeof(bytes), 0);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	if (sum != 0xffff)
		__sync_fetch_and_add(&value->bad_checksums, 1);
	return XDP_PASS;
}

/* Pushes eight bytes of nothing in front of the packet, and takes them off again. */
SEC("xdp") int head(struct xdp_md *ctx)
{
	if (take(ctx) && (bpf_xdp_adjust_head(ctx, -8) || bpf_xdp_adjust_head(ctx, 8)))
		return XDP_ABORTED;
	return XDP_PASS;
}

/* Lengthens the packet by eight bytes, and cuts them off again. */
SEC("xdp.frags") int tail(struct xdp_md *ctx)
{
	__u64 len = bpf_xdp_get_buff_len(ctx);

	if (!take(ctx))
		return XDP_PASS;
	if (bpf_xdp_adjust_tail(ctx, 8) || bpf_xdp_get_buff_len(ctx) != len + 8 ||
	    bpf_xdp_adjust_tail(ctx, -8) || bpf_xdp_get_buff_len(ctx) != len)
		return XDP_ABORTED;
	return XDP_PASS;
}

/* Puts a mark in front of the packet, as metadata, which tc reads. */
SEC("xdp") int meta(struct xdp_md *ctx)
{
	__u32 *mark;

	if (!take(ctx))
		return XDP_PASS;
	if (bpf_xdp_adjust_meta(ctx, -4))
		return XDP_ABORTED;
	mark = (void *)(long)ctx->data_meta;
	if ((void *)(mark + 1) > (void *)(long)ctx->data)
		return XDP_ABORTED;
	*mark = 0x1234;
	return XDP_PASS;
}

/* For tc: the metadata becomes the packet's mark. */
SEC("tcx/ingress") int mark(struct __sk_buff *skb)
{
	__u32 *mark = (void *)(long)skb->data_meta;

	if ((void *)(mark + 1) <= (void *)(long)skb->data)
		skb->mark = *mark;
	return 0;
}

char _license[] SEC("license") = "GPL";
