#!/bin/sh
# iptables and its kin: through nf_tables where the node's kernel has it, through the older interface
# where it hasn't (old kernels, sandboxes such as gVisor).
name=${0##*/}
family=${name%%-*}
if "/usr/sbin/$family-nft" -t nat -S >/dev/null 2>&1; then
    exec "/usr/sbin/$family-nft${name#"$family"}" "$@"
fi
exec "/usr/sbin/$family-legacy${name#"$family"}" "$@"
