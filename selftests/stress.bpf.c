// SPDX-License-Identifier: GPL-2.0
/*
 * The programs of the stress tests: packets that are cut, lengthened and redirected in every
 * way, redirections in circles, and dropped packets counted by their reason.
 */

#include <linux/bpf.h>
#include <linux/types.h>

#define SEC(name) __attribute__((section(name), used))
#define __uint(name, val) int(*name)[val]
#define __type(name, val) typeof(val) *name

static void *(*bpf_map_lookup_elem)(void *map, const void *key) =
	(void *)BPF_FUNC_map_lookup_elem;
static long (*bpf_skb_change_tail)(struct __sk_buff *skb, __u32 len, __u64 flags) =
	(void *)BPF_FUNC_skb_change_tail;
static long (*bpf_skb_change_head)(struct __sk_buff *skb, __u32 len, __u64 flags) =
	(void *)BPF_FUNC_skb_change_head;
static long (*bpf_skb_adjust_room)(struct __sk_buff *skb, __s32 len, __u32 mode, __u64 flags) =
	(void *)BPF_FUNC_skb_adjust_room;
static long (*bpf_skb_store_bytes)(struct __sk_buff *skb, __u32 offset, const void *from,
				   __u32 len, __u64 flags) = (void *)BPF_FUNC_skb_store_bytes;
static long (*bpf_skb_pull_data)(struct __sk_buff *skb, __u32 len) =
	(void *)BPF_FUNC_skb_pull_data;
static long (*bpf_clone_redirect)(struct __sk_buff *skb, __u32 index, __u64 flags) =
	(void *)BPF_FUNC_clone_redirect;
static long (*bpf_redirect)(__u32 index, __u64 flags) = (void *)BPF_FUNC_redirect;
static long (*bpf_redirect_map)(void *map, __u64 key, __u64 flags) =
	(void *)BPF_FUNC_redirect_map;

#define MAP(name, map_type, entries, value_type)	\
	struct {					\
		__uint(type, map_type);			\
		__uint(max_entries, entries);		\
		__type(key, __u32);			\
		__type(value, value_type);		\
	} name SEC(".maps")

#define ONE 256
enum { ONE_SENT = 120, ONE_ARRIVED };

/* The indices of the devices that the programs redirect to. */
MAP(targets, BPF_MAP_TYPE_ARRAY, 2, __u32);
/* How often each way was taken; of cut(), see there. */
MAP(ways, BPF_MAP_TYPE_ARRAY, 128, __u64);
/* Where the chance of each sender has got to. The test says where it begins. */
MAP(chance, BPF_MAP_TYPE_ARRAY, 4, __u64);
/* How many packets were dropped, by the reason. */
MAP(reasons, BPF_MAP_TYPE_ARRAY, 512, __u64);
MAP(circle, BPF_MAP_TYPE_DEVMAP, 2, __u32);

static inline __attribute__((always_inline)) void count(void *map, __u32 key)
{
	__u64 *value = bpf_map_lookup_elem(map, &key);

	if (value)
		__sync_fetch_and_add(value, 1);
}

static inline __attribute__((always_inline)) __u32 target(__u32 key)
{
	__u32 *value = bpf_map_lookup_elem(&targets, &key);

	return value ? *value : 0;
}

/*
 * The next random number of a sender (splitmix64), so that the test's seed decides, whatever
 * other senders do meanwhile.
 */
static inline __attribute__((always_inline)) __u64 draw(__u32 sender)
{
	__u64 *state = bpf_map_lookup_elem(&chance, &sender);
	__u64 number;

	if (!state)
		return 0;
	/* Packets of TCP, which several CPUs may send at a time, can get the same number. */
	*state += 0x9e3779b97f4a7c15;
	number = *state;
	number = (number ^ number >> 30) * 0xbf58476d1ce4e5b9;
	number = (number ^ number >> 27) * 0x94d049bb133111eb;
	return number ^ number >> 31;
}

/*
 * Cuts or lengthens what comes by, writes over its headers, and sends it elsewhere.
 *
 * Senders have a number, which is the mark of their packets: 0 is the kernel itself. What comes
 * in at a device, which has no mark, is of sender 3. In ways, from 32 times that number on, are
 * the 8 ways, as often as the helper did it, the same as often as it did not, copies: sent, not
 * sent, received, not received, and packets that were left whole.
 *
 * Copies that stay one packet on their way to a device, for they are not to be segmented and have a
 * header of the link layer, have the mark ONE and are counted apart.
 */
SEC("tc") int cut(struct __sk_buff *skb)
{
	__u32 sender = skb->ingress_ifindex ? 3 : skb->mark & 3;
	__u64 junk = draw(sender);
	__u32 dice = junk, random = junk >> 32;
	__u32 one = 0;
	long error = 0;
	__u64 flags;

	/* Of TCP most, or there would be no connections, and nothing to be segmented. */
	if (sender == 2 && dice & 0xe00) {
		count(&ways, 32 * sender + 20);
		goto redirect;
	}
	switch (dice & 7) {
	case 0:
		error = bpf_skb_change_tail(skb, random % 64, 0);
		break;
	case 1:
		error = bpf_skb_change_tail(skb, random % (skb->len + 1), 0);
		break;
	case 2:
		error = bpf_skb_change_tail(skb, skb->len + random % 2000, 0);
		break;
	case 3:
		error = bpf_skb_change_head(skb, random % 64, 0);
		break;
	case 4:
		/*
		 * Where a part of the transport header of a TCP packet to be segmented goes,
		 * too, the kernel reads 4 GB beyond it, in qdisc_pkt_len_segs_init().
		 */
		error = skb->gso_size ? -1 :
			bpf_skb_adjust_room(skb, -(__s32)(random % 40), BPF_ADJ_ROOM_MAC,
					    random >> 24 & 7);
		break;
	case 5:
		error = bpf_skb_adjust_room(skb, random % 100, BPF_ADJ_ROOM_MAC,
					    random >> 24 & 7);
		break;
	case 6:
		error = bpf_skb_store_bytes(skb, random % 60, &junk, sizeof(junk), 0);
		break;
	case 7:
		error = bpf_skb_pull_data(skb, random % (skb->len + 1));
		break;
	}
	count(&ways, 32 * sender + (dice & 7) + (error ? 8 : 0));
	if (dice & 64) {
		flags = dice & 128 ? BPF_F_INGRESS : 0;
		if (!skb->gso_size && skb->len >= 14)
			one = ONE;
		skb->mark |= one;
		error = bpf_clone_redirect(skb, target(0), flags);
		skb->mark &= ~ONE;
		if (one && !error)
			count(&ways, ONE_SENT);
		count(&ways, 32 * sender + 16 + (flags ? 2 : 0) + (error ? 1 : 0));
	}
redirect:
	return bpf_redirect(target(0), dice & 256 ? BPF_F_INGRESS : 0);
}

/* At the device, where what arrives goes on. */
SEC("tc") int arrived(struct __sk_buff *skb)
{
	if (skb->mark & ONE)
		count(&ways, ONE_ARRIVED);
	return -1; /* TCX_NEXT */
}

/* From a wire into a device. */
SEC("xdp") int to_target(struct xdp_md *ctx)
{
	return bpf_redirect(target(0), 0);
}

/* In circles: from the first device to the second, and back. */
SEC("tc") int to_first(struct __sk_buff *skb)
{
	count(&ways, 0);
	return bpf_redirect(target(0), 0);
}

SEC("tc") int to_second(struct __sk_buff *skb)
{
	count(&ways, 1);
	return bpf_redirect(target(1), 0);
}

SEC("xdp") int round_to_first(struct xdp_md *ctx)
{
	count(&ways, 2);
	return bpf_redirect_map(&circle, 0, 0);
}

SEC("xdp") int round_to_second(struct xdp_md *ctx)
{
	count(&ways, 3);
	return bpf_redirect_map(&circle, 1, 0);
}

SEC("xdp") int back(struct xdp_md *ctx)
{
	count(&ways, 4);
	return XDP_TX;
}

SEC("raw_tp/kfree_skb") int dropped(struct bpf_raw_tracepoint_args *ctx)
{
	count(&reasons, ctx->args[2]);
	return 0;
}

char _license[] SEC("license") = "GPL";
