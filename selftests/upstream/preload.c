// SPDX-License-Identifier: GPL-2.0
/*
 * A library for LD_PRELOAD, with which a device of ours is in the role of lo for a test.
 *
 * A process that enters a new network namespace, be it ip, unshare, Python or a test itself,
 * finds lo handed over there: the script LO_HANDOVER has done it before unshare() returns.
 *
 * The index of lo is 1 in every namespace and cannot be handed over. Who sends a frame to
 * this index means lo.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <net/if.h>
#include <netpacket/packet.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

int unshare(int flags)
{
	int (*next)(int flags) = (int (*)(int))dlsym(RTLD_NEXT, "unshare");
	const char *script = getenv("LO_HANDOVER");
	int status = 0;
	pid_t pid;

	if (next(flags))
		return -1;
	if (!(flags & CLONE_NEWNET) || !script)
		return 0;
	pid = fork();
	if (!pid) {
		unsetenv("LD_PRELOAD");
		execl(script, script, NULL);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status) {
		fprintf(stderr, "lo was not handed over: %s ended with status %#x\n", script,
			status);
		errno = EIO;
		return -1;
	}
	return 0;
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
	ssize_t (*next)(int fd, const struct msghdr *message, int flags) =
		(ssize_t (*)(int, const struct msghdr *, int))dlsym(RTLD_NEXT, "sendmsg");
	const struct sockaddr_ll *to = message->msg_name;
	struct msghdr to_lo = *message;
	struct sockaddr_ll lo;

	if (!to || message->msg_namelen < sizeof(*to) || to->sll_family != AF_PACKET ||
	    to->sll_ifindex != 1)
		return next(fd, message, flags);
	lo = *to;
	lo.sll_ifindex = if_nametoindex("lo");
	to_lo.msg_name = &lo;
	return next(fd, &to_lo, flags);
}
