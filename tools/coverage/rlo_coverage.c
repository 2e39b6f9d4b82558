// SPDX-License-Identifier: GPL-2.0
/*
 * Keeps the counters of modules that were compiled with COVERAGE=y, summed up over all their
 * lives: /sys/kernel/debug/rlo_coverage/MODULE has them in the order of the module's section
 * __llvm_prf_cnts.
 *
 * They are read when a module has done its last, be it after its exit function or because its
 * init function failed, and is still in memory.
 */

#include <linux/debugfs.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/notifier.h>
#include <linux/rcupdate.h>
#include <linux/string.h>

#define MAX_COUNTERS 8192

/*
 * Static, so that reading allocates nothing: a test that lets allocations fail would let these
 * fail, too.
 */
static struct kept {
	const char *module;
	struct debugfs_blob_wrapper blob;
	u64 sums[MAX_COUNTERS];
} kept[] = { { .module = "rust_loopback" }, { .module = "rust_sink" } };

static DEFINE_MUTEX(lock);
static struct dentry *dir;

/* The address of a symbol that only the module's own linker script has defined. */
static const u64 *address(const struct mod_kallsyms *symbols, const char *name)
{
	unsigned int i;

	for (i = 0; i < symbols->num_symtab; i++)
		if (!strcmp(symbols->strtab + symbols->symtab[i].st_name, name))
			return (const u64 *)symbols->symtab[i].st_value;
	return NULL;
}

static void keep(struct kept *kept, const struct mod_kallsyms *symbols)
{
	const u64 *start = address(symbols, "__start___llvm_prf_cnts");
	const u64 *stop = address(symbols, "__stop___llvm_prf_cnts");
	size_t i;

	if (!start || !stop) {
		pr_err("%s was not compiled with COVERAGE=y\n", kept->module);
		return;
	}
	if (stop - start > MAX_COUNTERS) {
		pr_err("%s has %zu counters: raise MAX_COUNTERS\n", kept->module, stop - start);
		return;
	}

	mutex_lock(&lock);
	for (i = 0; i < stop - start; i++)
		kept->sums[i] += READ_ONCE(start[i]);
	kept->blob.size = (stop - start) * sizeof(*start);
	mutex_unlock(&lock);
}

static int module_event(struct notifier_block *block, unsigned long state, void *data)
{
	struct module *module = data;
	size_t i;

	if (state != MODULE_STATE_GOING)
		return NOTIFY_DONE;

	for (i = 0; i < ARRAY_SIZE(kept); i++)
		if (!strcmp(module->name, kept[i].module))
			/* Nobody else has a use for a module that goes. */
			keep(&kept[i], rcu_dereference_protected(module->kallsyms, true));
	return NOTIFY_OK;
}

static struct notifier_block block = { .notifier_call = module_event };

static int __init rlo_coverage_init(void)
{
	size_t i;
	int err;

	err = register_module_notifier(&block);
	if (err)
		return err;

	dir = debugfs_create_dir("rlo_coverage", NULL);
	for (i = 0; i < ARRAY_SIZE(kept); i++) {
		kept[i].blob.data = kept[i].sums;
		debugfs_create_blob(kept[i].module, 0400, dir, &kept[i].blob);
	}
	return 0;
}
module_init(rlo_coverage_init);

static void __exit rlo_coverage_exit(void)
{
	debugfs_remove(dir);
	unregister_module_notifier(&block);
}
module_exit(rlo_coverage_exit);

MODULE_DESCRIPTION("Keeps the counters of modules over their lives");
MODULE_LICENSE("GPL");
