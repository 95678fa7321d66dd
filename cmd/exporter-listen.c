/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where swap_exporter listens
 *
 * What is told about a machine's memory is not for everybody, so whoever does
 * not say an address gets loopback.  An IPv6 address stands in brackets, as in
 * a URL; [::] is all addresses, those of IPv4 too.
 */
#include "exporter-listen.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "util.h"

#define BACKLOG		128
/*
 * What the kernel keeps for one connection, each way.  By itself it would take
 * megabytes for a client that does not read.
 */
#define BUFFER_BYTES	65536

static int
not_an_address(const char *text, const char *why, struct swap_error *error)
{
	return error_set(error, -EINVAL, "'%.100s' %s; write ADDRESS:PORT, "
			 "as " LISTEN_ADDRESS ":" LISTEN_PORT " or "
			 "[::1]:" LISTEN_PORT, text, why);
}

/* The end of the address in @text, or NULL; *@ret_start where it begins. */
static const char *
address_end(const char *text, const char **ret_start)
{
	*ret_start = text;
	if (text[0] != '[')
		return text + strcspn(text, ":");
	*ret_start = text + 1;
	return strchr(text, ']');
}

static int
parse_port(const char *text, const char *port, char ret_port[static 8],
	   struct swap_error *error)
{
	int64_t n;

	if (parse_i64(port, 0, UINT16_MAX, &n) < 0)
		return not_an_address(text, "has no port within 0..65535 "
				      "behind its colon", error);
	snprintf(ret_port, 8, "%d", (int)n);
	return 0;
}

int
listen_parse(const char *text, char ret_address[static 64],
	     char ret_port[static 8], struct swap_error *error)
{
	const char *start, *end = address_end(text, &start), *rest;

	if (text[0] == '\0')
		return not_an_address(text, "is no address", error);
	if (end == NULL)
		return not_an_address(text, "has no closing bracket", error);
	if (text[0] == '[' && end == start)
		return not_an_address(text, "has an empty address", error);
	if (end - start >= 64)
		return not_an_address(text, "is too long", error);
	/* Old habits of IPv4 would take it for an address. */
	if (start == text && text[strspn(text, "0123456789")] == '\0')
		return not_an_address(text, "is a port without an address",
				      error);
	rest = *end == ']' ? end + 1 : end;
	if (*rest != '\0' && *rest != ':')
		return not_an_address(text, "goes on behind its bracket",
				      error);
	if (strchr(rest, ':') != strrchr(rest, ':'))
		return not_an_address(text, "has more than one colon: an IPv6 "
				      "address stands in brackets", error);
	snprintf(ret_port, 8, "%s", LISTEN_PORT);
	if (*rest == ':' && parse_port(text, rest + 1, ret_port, error) < 0)
		return -EINVAL;
	if (end == start)
		snprintf(ret_address, 64, "%s", LISTEN_ADDRESS);
	else
		snprintf(ret_address, 64, "%.*s", (int)(end - start), start);
	return 0;
}

static int
listen_failed(const char *text, int code, struct swap_error *error)
{
	const char *remedy = "";

	if (code == -EADDRINUSE)
		remedy = "; another program listens there, so end it or "
			 "choose another port with --listen";
	else if (code == -EADDRNOTAVAIL)
		remedy = "; this machine does not have that address";
	else if (code == -EACCES)
		remedy = "; ports below 1024 are root's, so choose a higher "
			 "one";
	return error_set(error, code, "cannot listen at %s: %s%s", text,
			 strerror(-code), remedy);
}

static int
open_one(const struct addrinfo *info)
{
	const int yes = 1, no = 0, buffer = BUFFER_BYTES;
	int fd, r;

	fd = socket(info->ai_family, info->ai_socktype | SOCK_CLOEXEC,
		    info->ai_protocol);
	if (fd < 0)
		return -errno;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
	/* Connections inherit these. */
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer));
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof(buffer));
	if (info->ai_family == AF_INET6)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &no,
				 sizeof(no));
	if (bind(fd, info->ai_addr, info->ai_addrlen) == 0 &&
	    listen(fd, BACKLOG) == 0)
		return fd;
	r = -errno;
	close(fd);
	return r;
}

/* A name may have several addresses: the first that can be had. */
static int
open_first(const struct addrinfo *info)
{
	int r = -EADDRNOTAVAIL;

	for (; info != NULL && r < 0; info = info->ai_next)
		r = open_one(info);
	return r;
}

/* The address that a socket has got, with its port. */
static void
put_name(int fd, char ret_name[static LISTEN_NAME_SIZE])
{
	struct sockaddr_storage addr;
	socklen_t len = sizeof(addr);
	char host[64] = "?", port[8] = "?";

	if (getsockname(fd, (struct sockaddr *)&addr, &len) == 0)
		(void)getnameinfo((const struct sockaddr *)&addr, len, host,
				  sizeof(host), port, sizeof(port),
				  NI_NUMERICHOST | NI_NUMERICSERV);
	snprintf(ret_name, LISTEN_NAME_SIZE,
		 strchr(host, ':') != NULL ? "[%s]:%s" : "%s:%s", host, port);
}

int
listen_open(const char *text, char ret_name[static LISTEN_NAME_SIZE],
	    struct swap_error *error)
{
	const struct addrinfo hints = {
		.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM,
		.ai_flags = AI_NUMERICSERV,
	};
	char address[64], port[8];
	struct addrinfo *info;
	int r = listen_parse(text, address, port, error);

	if (r < 0)
		return r;
	r = getaddrinfo(address, port, &hints, &info);
	if (r != 0)
		return error_set(error, -ENOENT, "cannot listen at %s: there "
				 "is no such address: %s", text,
				 gai_strerror(r));
	r = open_first(info);
	freeaddrinfo(info);
	if (r < 0)
		return listen_failed(text, r, error);
	put_name(r, ret_name);
	return r;
}
