// SPDX-License-Identifier: GPL-2.0
/*
 * Sends back what it receives, with libxdp: the least of a program in C that
 * uses a queue of a loopback by AF_XDP with zero-copy.
 *
 *	xsk_echo DEVICE QUEUE
 *
 * The program on the other queue of the pair must use libxdp, too, or DPDK: the
 * XDP program that libxdp attaches is for those that know of it.
 */

#include <linux/if_xdp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <xdp/xsk.h>

#define CHUNKS	4096
#define CHUNK	XSK_UMEM__DEFAULT_FRAME_SIZE
#define BATCH	64

/* Puts the frames of packets that were sent onto the fill ring. */
static void recycle(struct xsk_ring_cons *completion, struct xsk_ring_prod *fill)
{
	__u32 from, to, i, n = xsk_ring_cons__peek(completion, BATCH, &from);

	/* There is room: the ring has a place for each frame. */
	if (!n || xsk_ring_prod__reserve(fill, n, &to) != n)
		return;
	for (i = 0; i < n; i++)
		*xsk_ring_prod__fill_addr(fill, to + i) =
			*xsk_ring_cons__comp_addr(completion, from + i);
	xsk_ring_prod__submit(fill, n);
	xsk_ring_cons__release(completion, n);
}

/* Sends what was received; the frames stay where they are. Returns how many. */
static __u32 echo(struct xsk_ring_cons *rx, struct xsk_ring_prod *tx)
{
	__u32 from, to, i, n = xsk_ring_cons__peek(rx, BATCH, &from);

	if (n && xsk_ring_prod__reserve(tx, n, &to) != n) {
		xsk_ring_cons__cancel(rx, n);
		return 0;
	}
	for (i = 0; i < n; i++) {
		const struct xdp_desc *desc = xsk_ring_cons__rx_desc(rx, from + i);

		*xsk_ring_prod__tx_desc(tx, to + i) = (struct xdp_desc){
			.addr = desc->addr,
			.len = desc->len,
		};
	}
	xsk_ring_prod__submit(tx, n);
	xsk_ring_cons__release(rx, n);
	return n;
}

int main(int argc, char **argv)
{
	const struct xsk_umem_config umem_config = {
		.fill_size = CHUNKS,
		.comp_size = CHUNKS,
		.frame_size = CHUNK,
	};
	const struct xsk_socket_config config = {
		.rx_size = CHUNKS,
		.tx_size = CHUNKS,
		.bind_flags = XDP_ZEROCOPY | XDP_USE_NEED_WAKEUP,
	};
	struct xsk_ring_cons completion, rx;
	struct xsk_ring_prod fill, tx;
	struct xsk_socket *xsk;
	struct xsk_umem *umem;
	struct pollfd fd = { .events = POLLIN };
	__u32 i, at;
	void *area;
	int err;

	if (argc != 3) {
		fprintf(stderr, "usage: %s DEVICE QUEUE\n", argv[0]);
		return 2;
	}
	area = mmap(NULL, CHUNKS * CHUNK, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (area == MAP_FAILED) {
		perror("There is no memory for the frames");
		return 1;
	}
	err = xsk_umem__create(&umem, area, CHUNKS * CHUNK, &fill, &completion, &umem_config);
	if (!err)
		err = xsk_socket__create(&xsk, argv[1], atoi(argv[2]), umem, &rx, &tx, &config);
	if (err) {
		fprintf(stderr, "No socket on %s, queue %s: %s\n", argv[1], argv[2],
			strerror(-err));
		return 1;
	}
	fd.fd = xsk_socket__fd(xsk);

	/* All frames are empty. */
	if (xsk_ring_prod__reserve(&fill, CHUNKS, &at) != CHUNKS)
		return 1;
	for (i = 0; i < CHUNKS; i++)
		*xsk_ring_prod__fill_addr(&fill, at + i) = i * CHUNK;
	xsk_ring_prod__submit(&fill, CHUNKS);

	for (;;) {
		recycle(&completion, &fill);
		if (!echo(&rx, &tx))
			poll(&fd, 1, 1000);
		if (xsk_ring_prod__needs_wakeup(&tx))
			sendto(fd.fd, NULL, 0, MSG_DONTWAIT, NULL, 0);
		if (xsk_ring_prod__needs_wakeup(&fill))
			recvfrom(fd.fd, NULL, 0, MSG_DONTWAIT, NULL, NULL);
	}
}
