/*
 * Stands between user-mode-linux and libc, and puts two things right.
 *
 * Linux 6.1 hands PTRACE_SETREGSET as many bytes of vector state as it knows of. On a processor
 * with AMX the host wants more, and says EFAULT. What is missing is the state of the tiles,
 * which no process of the guest can turn on: zeroes are right.
 *
 * Should the kernel be killed, the guest's processes must die with it, and not go on as
 * processes of the host: PTRACE_O_EXITKILL.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

#define NT_X86_XSTATE 0x202

static long (*next_ptrace)(int, ...);

static long set_vector_state(long pid, long kind, struct iovec *given)
{
	static size_t host_length;
	static char state[65536];
	struct iovec whole = { state, sizeof state };

	if (!host_length) {
		if (next_ptrace(PTRACE_GETREGSET, (int)pid, kind, &whole) < 0)
			return -1;
		host_length = whole.iov_len;
	}
	if (given->iov_len >= host_length)
		return next_ptrace(PTRACE_SETREGSET, (int)pid, kind, given);
	memset(state, 0, host_length);
	memcpy(state, given->iov_base, given->iov_len);
	whole.iov_len = host_length;
	return next_ptrace(PTRACE_SETREGSET, (int)pid, kind, &whole);
}

long ptrace(enum __ptrace_request request, ...)
{
	va_list arguments;
	va_start(arguments, request);
	long pid = va_arg(arguments, long);
	long address = va_arg(arguments, long);
	void *data = va_arg(arguments, void *);
	va_end(arguments);

	if (!next_ptrace)
		next_ptrace = dlsym(RTLD_NEXT, "ptrace");
	if (request == PTRACE_SETREGSET && address == NT_X86_XSTATE)
		return set_vector_state(pid, address, data);
	if (request == PTRACE_SETOPTIONS)
		data = (void *)((long)data | PTRACE_O_EXITKILL);
	return next_ptrace(request, (int)pid, address, data);
}
