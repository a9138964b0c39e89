package redistest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/novatech/securevault/server/engines/enginetest/process"
)

const (
	// Master is what the sentinel calls the servers it watches.
	Master = "shop"

	slots   = 16384 // of every cluster
	masters = 3
)

// Group is several servers that belong together.
type Group struct {
	Servers  []*Server
	Sentinel *Server // nil: they are a cluster
}

// Stop ends the servers and removes their folders.
func (g *Group) Stop() {
	for _, server := range append(slices.Clone(g.Servers), g.Sentinel) {
		if server != nil {
			server.Stop()
		}
	}
}

// Addresses lists where the servers listen, with commas between.
func (g *Group) Addresses() string {
	var all []string
	for _, server := range g.Servers {
		all = append(all, server.Address())
	}
	return strings.Join(all, ",")
}

// StartCluster starts a cluster of three masters, the last of which has a
// replica. It returns once every server knows every slot and the replica is in
// step. The caller must call Stop.
func StartCluster() (*Group, error) {
	const servers = masters + 1
	ports, err := process.FreePorts(2 * servers)
	if err != nil {
		return nil, err
	}
	cluster := &Group{}
	for i := range servers {
		server, err := newServer(ports[i])
		if err == nil {
			cluster.Servers = append(cluster.Servers, server)
			err = server.start(Options{Settings: []string{
				"cluster-enabled yes", "cluster-node-timeout 2000", "cluster-port " + strconv.Itoa(ports[servers+i]),
			}})
		}
		if err != nil {
			cluster.Stop()
			return nil, fmt.Errorf("starting server %d of a Redis cluster: %w", i+1, err)
		}
	}
	if err := cluster.join(ports[servers:]); err != nil {
		cluster.Stop()
		return nil, fmt.Errorf("joining a Redis cluster: %w", err)
	}
	return cluster, nil
}

// join makes the servers know each other, and each master serve a third of the
// slots. busPorts are where the servers talk among themselves.
func (g *Group) join(busPorts []int) error {
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	for i, server := range g.Servers {
		if i < masters {
			first, last := i*slots/masters, (i+1)*slots/masters-1
			if err := server.tell(ctx, "CLUSTER", "ADDSLOTSRANGE", first, last); err != nil {
				return err
			}
		}
		if i > 0 {
			if err := g.Servers[0].tell(ctx, "CLUSTER", "MEET", "127.0.0.1", server.Port, busPorts[i]); err != nil {
				return err
			}
		}
	}
	id, err := g.Servers[masters-1].ask(ctx, "CLUSTER", "MYID")
	if err != nil {
		return err
	}
	replica := g.Servers[masters]
	if err := replica.process.Await(ctx, "replicating", func(ctx context.Context) error { return replica.tell(ctx, "CLUSTER", "REPLICATE", id) }); err != nil {
		return err
	}
	for _, server := range g.Servers {
		if err := server.process.Await(ctx, "knowing the cluster", func(ctx context.Context) error { return server.knows(ctx, len(g.Servers)) }); err != nil {
			return err
		}
	}
	return nil
}

// knows tells whether a server knows of every slot and of so many servers, one
// of them a replica.
func (s *Server) knows(ctx context.Context, servers int) error {
	info, err := s.ask(ctx, "CLUSTER", "INFO")
	if err != nil {
		return err
	}
	nodes, err := s.ask(ctx, "CLUSTER", "NODES")
	if err != nil {
		return err
	}
	if !strings.Contains(info, "cluster_state:ok") || strings.Count(nodes, " connected") != servers || !strings.Contains(nodes, "slave") {
		return errors.New("the cluster is not complete: " + nodes)
	}
	return nil
}

// StartSentinel starts a master, its replica, and a sentinel that watches both.
// The caller must call Stop.
func StartSentinel() (*Group, error) {
	group := &Group{}
	if err := group.replicate(); err != nil {
		group.Stop()
		return nil, fmt.Errorf("starting Redis with a sentinel: %w", err)
	}
	return group, nil
}

func (g *Group) replicate() error {
	for range 2 {
		server, err := Start(Options{})
		if err != nil {
			return err
		}
		g.Servers = append(g.Servers, server)
	}
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	master, replica := g.Servers[0], g.Servers[1]
	if err := replica.tell(ctx, "REPLICAOF", "127.0.0.1", master.Port); err != nil {
		return err
	}
	err := master.process.Await(ctx, "finding the replica", func(ctx context.Context) error {
		info, err := master.ask(ctx, "INFO", "replication")
		if err == nil && !strings.Contains(info, "state=online") {
			err = errors.New("the replica is not in step")
		}
		return err
	})
	if err != nil {
		return err
	}
	return g.watch(ctx)
}

// watch starts the sentinel, and returns once it knows both servers.
func (g *Group) watch(ctx context.Context) error {
	port, err := process.FreePort()
	if err != nil {
		return err
	}
	if g.Sentinel, err = newServer(port); err != nil {
		return err
	}
	err = g.Sentinel.configure([]string{
		"bind 127.0.0.1", "port " + strconv.Itoa(port), "dir " + g.Sentinel.folder, "requirepass " + Password,
		"sentinel monitor " + Master + " 127.0.0.1 " + strconv.Itoa(g.Servers[0].Port) + " 1",
		"sentinel auth-pass " + Master + " " + Password, "sentinel down-after-milliseconds " + Master + " 1000",
	})
	if err != nil {
		return err
	}
	if err := g.Sentinel.run("redis-sentinel"); err != nil {
		return err
	}
	return g.Sentinel.process.Await(ctx, "finding the replica", func(ctx context.Context) error {
		client := g.Sentinel.Client(Admin, Password)
		defer func() { _ = client.Close() }()
		replicas, err := client.Do(ctx, "SENTINEL", "REPLICAS", Master).Slice()
		if err == nil && len(replicas) == 0 {
			err = errors.New("the sentinel knows no replica")
		}
		return err
	})
}

// tell runs a command as the admin.
func (s *Server) tell(ctx context.Context, args ...any) error {
	_, err := s.ask(ctx, args...)
	return err
}

// ask runs a command as the admin and returns its answer, a text.
func (s *Server) ask(ctx context.Context, args ...any) (string, error) {
	client := s.Client(Admin, Password)
	defer func() { _ = client.Close() }()
	return client.Do(ctx, args...).Text()
}
