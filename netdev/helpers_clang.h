/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Included first where Clang compiles for a kernel that GCC was configured for.
 *
 * GCC puts the segment of a per-CPU variable into inline assembly because of the
 * variable's address space, Clang does not: it has to be written out.
 */

#undef CONFIG_CC_HAS_NAMED_AS
#undef CONFIG_USE_X86_SEG_SUPPORT
