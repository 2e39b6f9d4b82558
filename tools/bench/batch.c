// SPDX-License-Identifier: GPL-2.0
/*
 * Sends datagrams in batches to itself and receives them, on one thread: no
 * scheduling, so that under 'qemu -icount' a run takes the same number of
 * instructions again. No standard program sends and receives on one thread.
 *
 *   batch udp ADDRESS SIZE BATCH ROUNDS   UDP, sendmmsg() and recvmmsg()
 *   batch gso ADDRESS SIZE BATCH ROUNDS   UDP, one sendmsg() with UDP_SEGMENT
 *                                         of BATCH segments, UDP_GRO
 *   batch unix - SIZE BATCH ROUNDS        AF_UNIX datagrams, as udp
 *
 * A tenth of the rounds comes first and is not counted. Prints the nanoseconds
 * that the rest took, and the number of datagrams (gso: of sendmsg() calls).
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <netdb.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define MAX_BATCH 128

static int out, in;

static void connect_udp(const char *address, int gro)
{
	struct addrinfo hints = { .ai_socktype = SOCK_DGRAM, .ai_flags = AI_NUMERICHOST | AI_PASSIVE };
	struct addrinfo *info;
	struct sockaddr_storage local;
	socklen_t len = sizeof(local);
	int one = 1, space = 1 << 24, error;

	error = getaddrinfo(address, "0", &hints, &info);
	if (error)
		errx(1, "%s: %s", address, gai_strerror(error));
	in = socket(info->ai_family, SOCK_DGRAM, 0);
	out = socket(info->ai_family, SOCK_DGRAM, 0);
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
	out = pair[0];
	in = pair[1];
}

int main(int argc, char **argv)
{
	static struct mmsghdr sent[MAX_BATCH], received[MAX_BATCH];
	static struct iovec parts[MAX_BATCH];
	struct timespec start, end;
	char segment_size[CMSG_SPACE(sizeof(uint16_t))] = "";
	int gso, size, batch;
	long rounds, round;
	struct iovec part;
	char *buffer;

	if (argc != 6)
		errx(2, "usage: batch udp|gso|unix ADDRESS|- SIZE BATCH ROUNDS");
	gso = !strcmp(argv[1], "gso");
	size = atoi(argv[3]);
	batch = atoi(argv[4]);
	rounds = atol(argv[5]);
	if (size < 1 || batch < 1 || batch > MAX_BATCH || rounds < 10)
		errx(2, "SIZE is at least 1, BATCH 1 to %d, ROUNDS at least 10", MAX_BATCH);

	if (strcmp(argv[1], "unix"))
		connect_udp(argv[2], gso);
	else
		connect_unix();

	buffer = calloc(batch, size);
	if (!buffer)
		err(1, "memory");
	for (int i = 0; i < batch; i++) {
		parts[i] = (struct iovec){ buffer + (long)i * size, size };
		sent[i].msg_hdr = received[i].msg_hdr =
			(struct msghdr){ .msg_iov = &parts[i], .msg_iovlen = 1 };
	}
	part = (struct iovec){ buffer, (size_t)batch * size };
	if (gso) {
		struct msghdr *msg = &sent[0].msg_hdr;
		struct cmsghdr *cmsg;

		*msg = (struct msghdr){ .msg_iov = &part, .msg_iovlen = 1,
			.msg_control = segment_size, .msg_controllen = sizeof(segment_size) };
		cmsg = CMSG_FIRSTHDR(msg);
		cmsg->cmsg_level = IPPROTO_UDP;
		cmsg->cmsg_type = UDP_SEGMENT;
		cmsg->cmsg_len = CMSG_LEN(sizeof(uint16_t));
		*(uint16_t *)CMSG_DATA(cmsg) = size;
		received[0].msg_hdr = (struct msghdr){ .msg_iov = &part, .msg_iovlen = 1 };
	}

	for (round = -rounds / 10; round < rounds; round++) {
		int count = gso ? 1 : batch;

		if (round == 0)
			clock_gettime(CLOCK_MONOTONIC, &start);
		if (sendmmsg(out, sent, count, 0) != count)
			err(1, "sendmmsg");
		for (int got = 0; got < count;) {
			int n = recvmmsg(in, received + got, count - got, 0, NULL);

			if (n < 0)
				err(1, "recvmmsg");
			for (int i = got; i < got + n; i++)
				if (received[i].msg_len != (gso ? part.iov_len : (size_t)size))
					errx(1, "received %u bytes", received[i].msg_len);
			got += n;
		}
	}
	clock_gettime(CLOCK_MONOTONIC, &end);
	printf("%lld %ld\n", (end.tv_sec - start.tv_sec) * 1000000000LL + end.tv_nsec - start.tv_nsec,
	       rounds * (gso ? 1 : batch));
	return 0;
}
