/* SPDX-License-Identifier: BSD-2-Clause */
/* swapctl drain - bring a program's pages back from the kernel's swap */
#include "kernel.h"
#include "say.h"

static int
run_drain(struct invocation *inv, int argc, char **argv)
{
	int r = command_operands(inv, argc, argv);

	if (r != COMMAND_GOES_ON)
		return r;
	return say_misuse(inv, "only the kernel's own swap is drained by "
			  "program: say 'swapctl -p kernel drain'; 'off' "
			  "drains a swapd's device");
}

const struct command cmd_drain = {
	.name = "drain",
	.synopsis = "PID|GROUP...",
	.summary = "Bring programs back from the kernel's swap (-p kernel)",
	.help =
	"  PID                a process\n"
	"  GROUP              a memory control group: /user.slice\n"
	"\n"
	"Swap stays as it is, and programs may be swapped again.",
	.run = run_drain,
	.run_kernel = kernel_run_drain,
	.kernel_synopsis = "PID|GROUP...",
	.kernel_help = "",
};
