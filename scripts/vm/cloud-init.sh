#!/bin/sh
# cloud-init.sh: write cloud-init.yaml, which holds a copy of provision.sh, because a cloud's
# machine has nothing else when it boots. The tests see to it that the copy is today's.
set -eu
cd "$(dirname "$0")"
{
	cat <<'END'
#cloud-config
# A machine for the chapters: Multipass, any cloud, virt-install --cloud-init user-data=...
# Written by cloud-init.sh from provision.sh; change these.
#
#   multipass launch 26.04 --name go-docker --cpus 2 --memory 2G --disk 10G --timeout 900 \
#     --cloud-init scripts/vm/cloud-init.yaml
#   multipass transfer --recursive . go-docker:go-docker        # or a bundle, to be unpacked there
#   multipass exec go-docker -- sudo go-docker/scripts/vm/provision.sh   # the modules
#   multipass shell go-docker                                   # then: sudo -i
#   multipass stop go-docker; multipass snapshot go-docker --name clean
hostname: vm
package_update: true
write_files:
  - path: /opt/go-docker/provision.sh
    permissions: "0755"
    content: |
END
	sed 's/^\(.\)/      \1/' provision.sh
	cat <<'END'
runcmd:
  - [/opt/go-docker/provision.sh]
final_message: "go-docker: ready after $UPTIME s"
END
} >cloud-init.yaml
