/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Turning a device off
 *
 * A thread makes the call and waits; to stop it is to close its connection,
 * which the descriptor `stop' brings about, and the swapd puts the device back
 * into service.
 */
#include "off.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "ipc/client.h"
#include "util.h"

struct off {
	pthread_t	 thread;
	pthread_mutex_t	 lock;
	const char	*pager;
	char		 device[256];
	int		 stop_fd;
	int		 news_fd;
	struct off_state state;		/* (lock) */
};

static void
ring(int fd)
{
	const uint64_t one = 1;

	/* One that is full is readable already. */
	if (write(fd, &one, sizeof(one)) < 0)
		return;
}

static uint64_t
member(const json_t *reply, const char *key)
{
	json_int_t value = json_integer_value(json_object_get(reply, key));

	return value > 0 ? (uint64_t)value : 0;
}

static int
on_report(void *arg, json_t *reply, bool continues)
{
	struct off *off = arg;
	const struct swap_progress report = {
		.done_bytes = member(reply, "done_bytes"),
		.total_bytes = member(reply, "total_bytes"),
		.elapsed_usec = member(reply, "elapsed_usec"),
	};

	(void)continues;
	pthread_mutex_lock(&off->lock);
	progress_update(&off->state.progress, &report);
	pthread_mutex_unlock(&off->lock);
	ring(off->news_fd);
	return 0;
}

static int
call_off(struct off *off, struct swap_error *error)
{
	struct swap_client *client;
	json_t *params;
	int r = swap_client_connect(off->pager, &client, error);

	if (r < 0)
		return r;
	client_interrupt_fd(client, off->stop_fd);
	params = json_pack("{s:s}", "device", off->device);
	if (params == NULL)
		r = error_set(error, -EINVAL, "%s: the name is not UTF-8",
			      off->device);
	else
		r = client_call_more(client, "Off", params, on_report, off,
				     error);
	swap_client_close(client);
	return r;
}

static void *
off_main(void *arg)
{
	struct swap_error error = { 0 };
	struct off *off = arg;
	int r = call_off(off, &error);

	pthread_mutex_lock(&off->lock);
	off->state.ended = true;
	off->state.result = r;
	off->state.error = error;
	pthread_mutex_unlock(&off->lock);
	ring(off->news_fd);
	return NULL;
}

static void
release(struct off *off)
{
	if (off->stop_fd >= 0)
		close(off->stop_fd);
	if (off->news_fd >= 0)
		close(off->news_fd);
	pthread_mutex_destroy(&off->lock);
	free(off);
}

int
off_start(const char *pager, const char *device, uint64_t page_bytes,
	  struct off **ret)
{
	struct off *off = calloc(1, sizeof(*off));
	int r;

	if (off == NULL)
		return -ENOMEM;
	pthread_mutex_init(&off->lock, NULL);
	off->pager = pager;
	format_cut(off->device, sizeof(off->device), "%s", device);
	progress_init(&off->state.progress, off->device, page_bytes);
	off->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	off->news_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r = off->stop_fd < 0 || off->news_fd < 0 ? -EMFILE :
	    -pthread_create(&off->thread, NULL, off_main, off);
	if (r < 0) {
		release(off);
		return r;
	}
	*ret = off;
	return 0;
}

void
off_stop(struct off *off)
{
	ring(off->stop_fd);
}

void
off_look(struct off *off, struct off_state *ret)
{
	uint64_t count;

	if (read(off->news_fd, &count, sizeof(count)) < 0)
		count = 0;
	pthread_mutex_lock(&off->lock);
	*ret = off->state;
	pthread_mutex_unlock(&off->lock);
}

int
off_fd(const struct off *off)
{
	return off->news_fd;
}

void
off_free(struct off *off)
{
	if (off == NULL)
		return;
	off_stop(off);
	pthread_join(off->thread, NULL);
	release(off);
}
