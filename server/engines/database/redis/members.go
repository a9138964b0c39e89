package redis

import (
	"context"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/gomodule/redigo/redis"

	"github.com/novatech/securevault/server/engines/database/fault"
)

// node is one server of the deployment.
type node struct {
	address string // host:port
	down    bool   // the others say that it is
}

// members returns the servers of the deployment as they are now. It asks for one
// at a time who the others are, and takes the word of the first that answers.
func (d *Database) members(ctx context.Context) (found []node, err error) {
	if d.session == "" {
		return nil, fault.New(fault.Refused, "the database is not initialized: call Initialize first")
	}
	s := d.settings
	informants, as, ask := s.Addresses, s.admin(), d.askCluster
	switch {
	case s.SentinelMaster != "":
		informants, as, ask = s.SentinelAddresses, s.sentinel(), d.askSentinel
	case len(s.Addresses) == 0:
		return []node{{address: net.JoinHostPort(s.Host, strconv.Itoa(s.Port))}}, nil
	}
	var failed error
	for _, informant := range informants {
		err := d.with(ctx, node{address: informant}, as, func(c *connection) (err error) {
			found, err = ask(c)
			return err
		})
		if err == nil {
			return found, nil
		}
		failed = d.explain(err, "asking "+informant+" for the servers")
	}
	return nil, failed
}

// upMembers returns the servers that are up, one at least, and those that are down.
func (d *Database) upMembers(ctx context.Context) (up, down []node, err error) {
	members, err := d.members(ctx)
	if err != nil {
		return nil, nil, err
	}
	for _, member := range members {
		if member.down {
			down = append(down, member)
		} else {
			up = append(up, member)
		}
	}
	if len(up) == 0 {
		return nil, nil, fault.New(fault.Later, "every server is down, say the sentinels: try again when one is back")
	}
	return up, down, nil
}

func (d *Database) askCluster(c *connection) ([]node, error) {
	text, err := c.text("CLUSTER", "NODES")
	if err != nil {
		return nil, err
	}
	seed, _, _ := net.SplitHostPort(c.address)
	return clusterMembers(text, seed, d.settings.encryption != nil)
}

// clusterMembers reads the answer to CLUSTER NODES of the server at host seed: a
// line for each server with its id, ip:port@busport[,hostname] and flags. With TLS
// the hostname is used if there is one, for that is what certificates are made out
// to. A server that has not met the others yet is left out.
func clusterMembers(text, seed string, named bool) ([]node, error) {
	var members []node
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 3 {
			return nil, fault.New(fault.Later, "the answer to CLUSTER NODES is not understood: check that the server is a Redis Cluster")
		}
		flags := strings.Split(fields[2], ",")
		if slices.Contains(flags, "handshake") {
			continue
		}
		address, names, _ := strings.Cut(fields[1], ",")
		address, _, _ = strings.Cut(address, "@")
		colon := strings.LastIndex(address, ":")
		if colon < 0 || slices.Contains(flags, "noaddr") {
			return nil, fault.New(fault.Later, "the cluster has lost the address of its server %q, which may hold users: bring it back, or make the others forget it (CLUSTER FORGET)", fields[0])
		}
		host, port := address[:colon], address[colon+1:]
		if name, _, _ := strings.Cut(names, ","); named && name != "" {
			host = name
		}
		if host == "" {
			host = seed // a server that has never been told its own address
		}
		members = append(members, node{net.JoinHostPort(host, port), slices.Contains(flags, "fail")})
	}
	if len(members) == 0 {
		return nil, fault.New(fault.Later, "the answer to CLUSTER NODES is empty: check that the server is a Redis Cluster")
	}
	return members, nil
}

// askSentinel returns the master and its replicas, those that were once the master
// included.
func (d *Database) askSentinel(c *connection) ([]node, error) {
	master, err := c.ask("SENTINEL", "MASTER", d.settings.SentinelMaster)
	if err != nil {
		return nil, err
	}
	replicas, err := redis.Values(c.ask("SENTINEL", "REPLICAS", d.settings.SentinelMaster))
	if err != nil {
		return nil, err
	}
	var members []node
	for _, described := range append([]any{master}, replicas...) {
		about := fieldsOf(described)
		host, _ := about["ip"].(string)
		port, _ := about["port"].(string)
		flags, _ := about["flags"].(string)
		if host == "" || port == "" {
			return nil, fault.New(fault.Later, "the sentinel's answer is not understood: check that sentinel_addresses are of sentinels")
		}
		members = append(members, node{net.JoinHostPort(host, port), strings.Contains(flags, "_down")})
	}
	return members, nil
}

// fieldsOf makes a map of an answer that is a list of names and values in turn.
func fieldsOf(answer any) map[string]any {
	list, _ := answer.([]any)
	fields := make(map[string]any, len(list)/2)
	for pair := range slices.Chunk(list, 2) {
		if name, ok := pair[0].(string); ok && len(pair) == 2 {
			fields[name] = pair[1]
		}
	}
	return fields
}
