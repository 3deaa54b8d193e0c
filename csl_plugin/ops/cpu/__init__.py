"""The operations of `csl_plugin.ops` on the CPU, by horizontal runs."""
