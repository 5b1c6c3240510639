#!/bin/sh
# A third box on bridge0: app, 10.0.0.100.
ip netns add app
ip link add app type veth peer name eth0 netns app
ip link set app master bridge0
ip -n app address add 10.0.0.100/28 dev eth0
ip -n app link set eth0 up
