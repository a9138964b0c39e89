package store

import (
	"context"
	"errors"
	"time"
)

// ErrNotActive is returned for a write by a server that is not the active one,
// or is so no longer.
var ErrNotActive = errors.New("this server is not the active one")

// Elector is a Store that several servers share. One of them at a time is
// active, and it alone writes: Put and Delete return an error that wraps
// ErrNotActive outside of a Term, and have no effect after it, not even if they
// were on their way when it ended.
type Elector interface {
	Store
	// Elect waits until self is the active server, or ctx ends. While it waits,
	// Nodes shows self to the others.
	Elect(ctx context.Context, self Node) (Term, error)
	// Nodes returns the servers that are alive, the active one first.
	Nodes(ctx context.Context) ([]Node, error)
}

// Node is what servers tell each other of themselves.
type Node struct {
	APIAddr     string    `json:"api_addr"` // URL at which clients and other nodes reach it
	ClusterAddr string    `json:"cluster_addr"`
	Hostname    string    `json:"hostname"`
	Version     string    `json:"version"`
	Active      bool      `json:"-"`
	Seen        time.Time `json:"-"` // when it last gave a sign of life
}

// Term is the time in which one server is active.
type Term interface {
	// Lost is closed when the term is over, for whatever reason.
	Lost() <-chan struct{}
	// Valid reports whether nobody else can be active yet, by the clock of this
	// machine alone: a process that was stopped for a while learns it here.
	Valid() bool
	// Resign ends the term, so that another server need not wait.
	Resign(ctx context.Context) error
}
