/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Telling processes about their own mappings.
 *
 * Two things about a mapping can be done only by the process that has it: to
 * put something there that gives SIGBUS, where the kernel has no
 * UFFDIO_POISON, and to remember that the memory is ordinary now.  A process
 * keeps one connection for hearing of it, in "Attend", apart from the one
 * through which it asks, since that may be waiting for an answer.
 *
 * Notes wait in a ring of fixed size: the pager's threads that write them can
 * neither block nor allocate.  A ring that overflows drops the new note and
 * says so in the log; its process would have to lose hundreds of pages before
 * it reads one message.
 */
#include "server-impl.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "../util.h"

/* False: no room. */
static bool
note_add(struct attendant *a, const struct note *note)
{
	uint64_t one = 1;

	if (a->count == SERVER_NOTES_MAX)
		return false;
	a->notes[(a->head + a->count) % SERVER_NOTES_MAX] = *note;
	a->count++;
	/* A failure means that it is readable already. */
	return write(a->event_fd, &one, sizeof(one)) > 0 || errno == EAGAIN;
}

/* For the attendants of @pid (0: for all): how many have been told. */
static unsigned
note_send(struct server *s, pid_t pid, const struct note *note)
{
	struct attendant *a;
	unsigned n = 0;

	pthread_mutex_lock(&s->lock);
	for (a = s->attendants; a != NULL; a = a->next)
		if ((pid == 0 || a->pid == pid) && note_add(a, note))
			n++;
	pthread_mutex_unlock(&s->lock);
	return n;
}

void
attend_poison(void *arg, uint64_t address, uint64_t length)
{
	const struct conn *conn = arg;
	const struct note note = { "poison", address, length };

	if (note_send(conn->server, conn->owner.pid, &note) == 0)
		log_limited(&conn->server->log, &conn->server->limit_notes,
			    SWAP_LOG_ERR, "process %d does not listen; it is "
			    "not told that its address %#llx is lost",
			    (int)conn->owner.pid, (unsigned long long)address);
}

void
attend_handover(struct server *s)
{
	const struct note note = { "handover", 0, 0 };

	note_send(s, 0, &note);
}

static bool
note_take(struct server *s, struct attendant *a, struct note *ret_note)
{
	bool any;

	pthread_mutex_lock(&s->lock);
	any = a->count > 0;
	if (any) {
		*ret_note = a->notes[a->head];
		a->head = (a->head + 1) % SERVER_NOTES_MAX;
		a->count--;
	}
	pthread_mutex_unlock(&s->lock);
	return any;
}

static int
send_notes(struct request *request, struct attendant *a)
{
	struct note note;
	uint64_t n;
	int r;

	if (read(a->event_fd, &n, sizeof(n)) < 0 && errno != EAGAIN)
		return -errno;
	while (note_take(request->conn->server, a, &note)) {
		r = reply_more(request,
			       json_pack("{s:s,s:I,s:I}", "kind", note.kind,
					 "address", (json_int_t)note.address,
					 "length_bytes",
					 (json_int_t)note.length));
		if (r < 0)
			return r;
	}
	return 0;
}

static void
attendant_remove(struct server *s, struct attendant *a)
{
	struct attendant **p;

	pthread_mutex_lock(&s->lock);
	for (p = &s->attendants; *p != a; p = &(*p)->next)
		;
	*p = a->next;
	pthread_mutex_unlock(&s->lock);
}

static int
attend_loop(struct request *request, struct attendant *a)
{
	int r;

	r = reply_more(request, json_pack("{s:s}", "kind", "ready"));
	while (r == 0) {
		r = frame_wait(&request->conn->frame, a->event_fd, -1);
		if (r == 0)
			r = send_notes(request, a);
	}
	return r;
}

int
attend(struct request *request)
{
	struct server *s = request->conn->server;
	struct attendant *a;
	int r = request_params(request, NULL, 0);

	if (r <= 0)
		return r;
	if (!request->more)
		return reply_service_error(request, "ExpectedMore", NULL,
					   NULL);
	a = calloc(1, sizeof(*a));
	if (a == NULL)
		return reply_refused(request, -ENOMEM, "out of memory");
	a->pid = request->conn->owner.pid;
	a->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (a->event_fd < 0) {
		free(a);
		return reply_refused(request, -EMFILE, "too many open files");
	}
	pthread_mutex_lock(&s->lock);
	a->next = s->attendants;
	s->attendants = a;
	pthread_mutex_unlock(&s->lock);
	r = attend_loop(request, a);
	attendant_remove(s, a);
	close(a->event_fd);
	free(a);
	return r;
}
