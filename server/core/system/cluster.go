package system

import (
	"context"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/core/endpoint"
	"github.com/novatech/securevault/server/store"
)

// Cluster is what is known of the servers that share the storage.
type Cluster interface {
	// StepDown makes this server give up being the active one and returns; what
	// is under way ends first.
	StepDown() error
	// Nodes returns the servers that are alive, the active one first.
	Nodes(ctx context.Context) ([]store.Node, error)
}

func (b *backend) clusterPaths() []*framework.Path {
	allowed := func(context.Context, *logical.Request, *framework.FieldData) (*logical.Response, error) {
		return &logical.Response{}, nil
	}
	return []*framework.Path{
		endpoint.Update("step-down", "Lets another server be active.", nil, b.stepDown),
		endpoint.New("ha-status", "Lists the servers that share the storage.", nil, endpoint.Operations{logical.ReadOperation: b.haStatus}),
		// The two below only decide who may; package api moves the file.
		endpoint.New("storage/backup", "Returns a backup of the storage.", nil, endpoint.Operations{logical.ReadOperation: allowed}),
		endpoint.Update("storage/restore", "Replaces the storage by a backup.", nil, allowed),
	}
}

func (b *backend) stepDown(context.Context, *logical.Request, *framework.FieldData) (*logical.Response, error) {
	return nil, b.Cluster.StepDown()
}

// node is a server as ha-status shows it.
type node struct {
	Hostname       string `json:"hostname"`
	APIAddress     string `json:"api_address"`
	ClusterAddress string `json:"cluster_address"`
	ActiveNode     bool   `json:"active_node"`
	LastEcho       string `json:"last_echo"`
	Version        string `json:"version"`
}

func (b *backend) haStatus(ctx context.Context, _ *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
	all, err := b.Cluster.Nodes(ctx)
	if err != nil {
		return nil, err
	}
	nodes := make([]node, len(all))
	for i, n := range all {
		nodes[i] = node{
			Hostname: n.Hostname, APIAddress: n.APIAddr, ClusterAddress: n.ClusterAddr, ActiveNode: n.Active,
			LastEcho: n.Seen.UTC().Format(time.RFC3339Nano), Version: n.Version,
		}
	}
	return &logical.Response{Data: map[string]any{"nodes": nodes}}, nil
}
