package inspect

import (
	"cmp"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"example.com/go-docker/day5-networks/lifecycle"
	"example.com/go-docker/day5-networks/state"
	"example.com/go-docker/day5-networks/store"
)

// inspectedContainer has the fields of docker inspect that we can fill, with
// the same names and in the same order.
type inspectedContainer struct {
	ID             string `json:"Id"`
	Created        time.Time
	Path           string
	Args           []string
	State          inspectedState
	Image          string
	ResolvConfPath string
	HostnamePath   string
	HostsPath      string
	LogPath        string
	Name           string
	RestartCount   int
	Driver         string
	HostConfig     inspectedHostConfig
	GraphDriver    graphDriver
	Mounts         []inspectedMount
	Config         inspectedConfig

	NetworkSettings inspectedSettings
}

type inspectedState struct {
	Status                                       state.Status
	Running, Paused, Restarting, OOMKilled, Dead bool
	Pid                                          int
	ShimPid                                      int // Docker does not show it
	ExitCode                                     int
	Error                                        string
	StartedAt, FinishedAt                        time.Time
}

type inspectedHostConfig struct {
	Binds             []string
	LogConfig         logConfig
	NetworkMode       string
	PortBindings      map[string][]portBinding
	DNS               []string `json:"Dns"`
	RestartPolicy     restartPolicy
	AutoRemove        bool
	CgroupParent      string
	ReadonlyRootfs    bool
	ShmSize           int64
	CPUShares         int64 `json:"CpuShares"`
	Memory            int64
	MemoryReservation int64
	MemorySwap        int64 // including memory, like run's flag; -1: no limit
	CPUPeriod         int64 `json:"CpuPeriod"`
	CPUQuota          int64 `json:"CpuQuota"`
	CpusetCpus        string
	PidsLimit         int64
	Init              bool
}

type logConfig struct {
	Type   string
	Config map[string]string
}

type restartPolicy struct {
	Name              string
	MaximumRetryCount int
}

type inspectedMount struct {
	Type, Source, Destination string
	RW                        bool
}

type inspectedConfig struct {
	Hostname, User            string
	Tty, OpenStdin, StdinOnce bool
	Env, Cmd                  []string
	Image, WorkingDir         string
	StopSignal                string `json:",omitempty"`
}

func inspectContainer(s *store.Store, c *lifecycle.Container) (*inspectedContainer, error) {
	config, err := state.ReadConfig(c.Dir)
	if err != nil {
		return nil, err
	}
	connected, err := state.ReadNetwork(c.Dir)
	if err != nil {
		return nil, err
	}
	settings, err := inspectSettings(s, c, connected)
	if err != nil {
		return nil, err
	}
	now, root := c.State, config.Container.Root
	i := &inspectedContainer{
		ID: c.ID, Created: c.Created, Path: c.Args[0], Args: c.Args[1:], Image: c.Image,
		LogPath: filepath.Join(c.Dir, state.LogFile),
		Name:    "/" + cmp.Or(c.Name, c.ID), RestartCount: now.Restarts, Driver: "overlay", Mounts: []inspectedMount{},
		State: inspectedState{
			Status: now.Status, Running: now.Live(), Paused: now.Status == state.Paused, Restarting: now.Status == state.Restarting,
			OOMKilled: now.OOMKilled, Pid: now.PID, ShimPid: now.ShimPID, ExitCode: now.ExitCode, Error: now.Error,
			StartedAt: now.StartedAt, FinishedAt: now.FinishedAt,
		},
		HostConfig: hostConfigOf(config), NetworkSettings: settings,
		Config: inspectedConfig{
			Hostname: config.Container.Hostname, User: config.Container.User, Tty: config.Container.TTY,
			OpenStdin: config.OpenStdin, StdinOnce: config.StdinOnce, Env: config.Container.Env, Cmd: c.Args,
			Image: c.ImageName, WorkingDir: config.Container.Root.Workdir, StopSignal: signalName(config.StopSignal),
		},
		GraphDriver: graphDriver{"overlay", map[string]string{"UpperDir": root.Overlay.Upper, "WorkDir": root.Overlay.Work, "MergedDir": root.Overlay.Merged}},
	}
	i.HostConfig.connectedBy(connected)
	// If it shares another container's network, these files are that one's.
	i.HostsPath, i.HostnamePath, i.ResolvConfPath = root.Files["/etc/hosts"], root.Files["/etc/hostname"], root.Files["/etc/resolv.conf"]
	for _, v := range root.Volumes {
		i.HostConfig.Binds = append(i.HostConfig.Binds, v.Source+":"+v.Target)
		i.Mounts = append(i.Mounts, inspectedMount{"bind", v.Source, v.Target, !v.ReadOnly})
	}
	for _, v := range root.ImageVolumes {
		i.Mounts = append(i.Mounts, inspectedMount{"volume", v.Upper, v.Target, true})
	}
	return i, nil
}

// signalName returns "" for 0 and, for a real-time signal, the number, which
// --stop-signal accepts, too.
func signalName(n int) string {
	if name := unix.SignalName(syscall.Signal(n)); name != "" || n == 0 {
		return name
	}
	return strconv.Itoa(n)
}

func hostConfigOf(config *state.Config) inspectedHostConfig {
	l := config.Cgroup.Limits
	h := inspectedHostConfig{
		Binds: []string{}, LogConfig: logConfig{"json-file", map[string]string{}},
		RestartPolicy: restartPolicy{config.Restart.String(), config.Restart.Max}, AutoRemove: config.AutoRemove,
		CgroupParent: config.Cgroup.Parent, ReadonlyRootfs: config.Container.Root.ReadOnly, ShmSize: config.Container.Root.ShmSize,
		CPUShares: l.CPUShares, Memory: l.Memory, MemoryReservation: l.Reservation, CPUQuota: l.CPUQuota,
		CpusetCpus: l.CPUs, PidsLimit: l.Pids, Init: config.Container.Init,
	}
	if config.Log.MaxSize > 0 {
		h.LogConfig.Config["max-size"] = strconv.FormatInt(config.Log.MaxSize, 10)
	}
	if config.Log.MaxFile > 0 {
		h.LogConfig.Config["max-file"] = strconv.Itoa(config.Log.MaxFile)
	}
	return h
}
