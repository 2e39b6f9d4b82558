// SPDX-License-Identifier: GPL-2.0
/*
 * Sends packets in batches to itself and receives them: on one thread, without
 * scheduling, so that under 'qemu -icount' a run takes the same number of
 * instructions again, or on two threads with a CPU each. No standard program sends
 * and receives on one thread.
 *
 *   batch udp ADDRESS SIZE BATCH ROUNDS CPUS   UDP, sendmmsg() and recvmmsg()
 *   batch gso ADDRESS SIZE BATCH ROUNDS 1      UDP, one sendmsg() with UDP_SEGMENT
 *                                              of BATCH segments, UDP_GRO
 *   batch unix - SIZE BATCH ROUNDS CPUS        AF_UNIX datagrams, as udp
 *   batch memory - SIZE BATCH ROUNDS CPUS      a ring in memory, into which packets are
 *                                              copied, and out of it; no system calls
 *
 * A tenth of the rounds comes first and is not counted. Prints the nanoseconds
 * that the rest took, and the number of packets (gso: of sendmsg() calls).
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/udp.h>
#include <pthread.h>
#include <sched.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define MAX_BATCH 128
/* So many packets may be under way: UDP would drop what the receiver has no room for. */
#define WINDOW 512
#define CACHE_LINE 64

/* One side: its socket, if any, its packets, and how many it has had. */
struct side {
	alignas(CACHE_LINE) atomic_ulong done;
	/* What the other side had done when this one looked last. */
	unsigned long seen;
	int socket;
	struct mmsghdr messages[MAX_BATCH];
	struct iovec parts[MAX_BATCH];
};

/* A place in the ring. */
struct slot {
	size_t size;
	char packet[];
};

static struct side sender, receiver;
static int in_memory, batch;
static long rounds;
static char *ring;
static size_t slot_size;

static void connect_udp(const char *address, int gro)
{
	struct addrinfo hints = {
		.ai_socktype = SOCK_DGRAM,
		.ai_flags = AI_NUMERICHOST | AI_PASSIVE,
	};
	struct addrinfo *info;
	struct sockaddr_storage local;
	socklen_t len = sizeof(local);
	int one = 1, space = 1 << 24, error, in, out;

	error = getaddrinfo(address, "0", &hints, &info);
	if (error)
		errx(1, "%s: %s", address, gai_strerror(error));
	in = socket(info->ai_family, SOCK_DGRAM, 0);
	out = socket(info->ai_family, SOCK_DGRAM, 0);
	receiver.socket = in;
	sender.socket = out;
	/* bind() to an IPv6 address of a device with own-traffic needs it. */
	if (info->ai_family == AF_INET6 &&
	    setsockopt(in, IPPROTO_IPV6, IPV6_FREEBIND, &one, sizeof(one)))
		err(1, "IPV6_FREEBIND");
	if (setsockopt(in, SOL_SOCKET, SO_RCVBUFFORCE, &space, sizeof(space)) ||
	    setsockopt(out, SOL_SOCKET, SO_SNDBUFFORCE, &space, sizeof(space)))
		err(1, "the socket's buffers");
	if (gro && setsockopt(in, IPPROTO_UDP, UDP_GRO, &one, sizeof(one)))
		err(1, "UDP_GRO");
	if (bind(in, info->ai_addr, info->ai_addrlen) ||
	    getsockname(in, (struct sockaddr *)&local, &len) ||
	    connect(out, (struct sockaddr *)&local, len))
		err(1, "%s", address);
	freeaddrinfo(info);
}

static void connect_unix(void)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_DGRAM, 0, pair))
		err(1, "socketpair");
	sender.socket = pair[0];
	receiver.socket = pair[1];
}

static void make_ring(int size)
{
	slot_size = (sizeof(struct slot) + size + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
	ring = aligned_alloc(CACHE_LINE, WINDOW * slot_size);
	if (!ring)
		err(1, "memory");
	memset(ring, 0, WINDOW * slot_size);
}

static struct slot *slot(unsigned long number)
{
	return (struct slot *)(ring + number % WINDOW * slot_size);
}

/* Gives the side packets of its own. */
static void make_packets(struct side *side, int size)
{
	char *packets = calloc(batch, size);

	if (!packets)
		err(1, "memory");
	for (int i = 0; i < batch; i++) {
		side->parts[i] = (struct iovec){ packets + (long)i * size, size };
		side->messages[i].msg_hdr =
			(struct msghdr){ .msg_iov = &side->parts[i], .msg_iovlen = 1 };
	}
}

/* Makes one message of the side's packets. */
static struct msghdr *join_packets(struct side *side, int size)
{
	side->parts[0].iov_len = (size_t)batch * size;
	return &side->messages[0].msg_hdr;
}

static void send_round(void)
{
	unsigned long done = atomic_load_explicit(&sender.done, memory_order_relaxed);

	while (done + batch - sender.seen > WINDOW)
		sender.seen = atomic_load_explicit(&receiver.done, memory_order_acquire);
	if (in_memory) {
		for (int i = 0; i < batch; i++) {
			struct slot *to = slot(done + i);

			to->size = sender.parts[i].iov_len;
			memcpy(to->packet, sender.parts[i].iov_base, to->size);
		}
	} else if (sendmmsg(sender.socket, sender.messages, batch, 0) != batch) {
		err(1, "sendmmsg");
	}
	atomic_store_explicit(&sender.done, done + batch, memory_order_release);
}

/* Receives at most so many packets, at least one. */
static int receive(unsigned long done, int most)
{
	int count;

	if (!in_memory) {
		count = recvmmsg(receiver.socket, receiver.messages, most, 0, NULL);
		if (count < 0)
			err(1, "recvmmsg");
		return count;
	}
	while (receiver.seen == done)
		receiver.seen = atomic_load_explicit(&sender.done, memory_order_acquire);
	count = receiver.seen - done < (unsigned long)most ? (int)(receiver.seen - done) : most;
	for (int i = 0; i < count; i++) {
		struct slot *from = slot(done + i);

		memcpy(receiver.parts[i].iov_base, from->packet, from->size);
		receiver.messages[i].msg_len = from->size;
	}
	return count;
}

static void receive_round(void)
{
	for (int left = batch; left > 0;) {
		unsigned long done = atomic_load_explicit(&receiver.done, memory_order_relaxed);
		int n = receive(done, left);

		for (int i = 0; i < n; i++)
			if (receiver.messages[i].msg_len != receiver.parts[i].iov_len)
				errx(1, "received %u bytes", receiver.messages[i].msg_len);
		atomic_store_explicit(&receiver.done, done + n, memory_order_release);
		left -= n;
	}
}

static void stay_on(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		err(1, "CPU %d", cpu);
}

static void *send_all(void *unused)
{
	(void)unused;
	stay_on(0);
	for (long round = -rounds / 10; round < rounds; round++)
		send_round();
	return NULL;
}

int main(int argc, char **argv)
{
	char segment_size[CMSG_SPACE(sizeof(uint16_t))] = "";
	struct timespec start, end;
	int gso, size, cpus;
	pthread_t thread;

	if (argc != 7)
		errx(2, "usage: batch udp|gso|unix|memory ADDRESS|- SIZE BATCH ROUNDS CPUS");
	gso = !strcmp(argv[1], "gso");
	in_memory = !strcmp(argv[1], "memory");
	size = atoi(argv[3]);
	batch = atoi(argv[4]);
	rounds = atol(argv[5]);
	cpus = atoi(argv[6]);
	if (size < 1 || batch < 1 || batch > MAX_BATCH || rounds < 10)
		errx(2, "SIZE is at least 1, BATCH 1 to %d, ROUNDS at least 10", MAX_BATCH);
	if (cpus < 1 || cpus > (gso ? 1 : 2))
		errx(2, "CPUS is 1 or 2, and 1 for gso");

	if (in_memory)
		make_ring(size);
	else if (strcmp(argv[1], "unix"))
		connect_udp(argv[2], gso);
	else
		connect_unix();

	make_packets(&sender, size);
	make_packets(&receiver, size);
	if (gso) {
		struct msghdr *msg = join_packets(&sender, size);
		struct cmsghdr *cmsg;

		join_packets(&receiver, size);
		msg->msg_control = segment_size;
		msg->msg_controllen = sizeof(segment_size);
		cmsg = CMSG_FIRSTHDR(msg);
		cmsg->cmsg_level = IPPROTO_UDP;
		cmsg->cmsg_type = UDP_SEGMENT;
		cmsg->cmsg_len = CMSG_LEN(sizeof(uint16_t));
		*(uint16_t *)CMSG_DATA(cmsg) = size;
		batch = 1;
	}

	if (cpus == 2) {
		stay_on(1);
		errno = pthread_create(&thread, NULL, send_all, NULL);
		if (errno)
			err(1, "pthread_create");
	}
	for (long round = -rounds / 10; round < rounds; round++) {
		if (round == 0)
			clock_gettime(CLOCK_MONOTONIC, &start);
		if (cpus == 1)
			send_round();
		receive_round();
	}
	clock_gettime(CLOCK_MONOTONIC, &end);
	printf("%lld %ld\n",
	       (end.tv_sec - start.tv_sec) * 1000000000LL + end.tv_nsec - start.tv_nsec,
	       rounds * batch);
	return 0;
}
