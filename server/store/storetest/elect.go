package storetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/novatech/securevault/server/store"
)

// patience is how long an election may take, in a real store.
const patience = 20 * time.Second

// Elect makes a store writable for the length of the test.
func Elect(t testing.TB, s store.Elector, name string) store.Term {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	term, err := s.Elect(ctx, store.Node{APIAddr: name})
	if err != nil {
		t.Fatalf("electing %q: %v", name, err)
	}
	t.Cleanup(func() { _ = term.Resign(context.Background()) })
	return term
}

// Elects checks what store.Elector promises. The stores that open returns are
// those of several servers that share one; depose ends the present term as a
// lost connection would, from outside.
func Elects(t *testing.T, open func(testing.TB) store.Elector, depose func(testing.TB)) {
	first, second := open(t), open(t)
	if err := first.Put(t.Context(), "k", []byte("x")); !errors.Is(err, store.ErrNotActive) {
		t.Fatalf("a write before an election: %v", err)
	}
	term := Elect(t, first, "first")
	if !term.Valid() {
		t.Error("a new term is not valid")
	}
	put(t, first, "k", "first")
	if err := second.Delete(t.Context(), "k"); !errors.Is(err, store.ErrNotActive) {
		t.Errorf("a write of the one that waits: %v", err)
	}
	if got := get(t, second, "k"); got != "first" {
		t.Errorf("the other reads %q", got)
	}

	won := candidate(t, second, "second")
	awaitNodes(t, second, "first", "second")
	if err := term.Resign(t.Context()); err != nil {
		t.Fatal(err)
	}
	next := won(t)
	lost(t, term)
	put(t, second, "k", "second")
	if err := first.Put(t.Context(), "k", []byte("late")); !errors.Is(err, store.ErrNotActive) {
		t.Errorf("a write after resigning: %v", err)
	}

	won = candidate(t, first, "first")
	depose(t)
	term = won(t)
	if err := second.Put(t.Context(), "k", []byte("late")); err == nil {
		t.Error("a write of the deposed one has an effect")
	}
	lost(t, next)
	if got := get(t, first, "k"); got != "second" {
		t.Errorf("the deposed one wrote %q", got)
	}
	put(t, first, "k", "third")
	if err := term.Resign(t.Context()); err != nil {
		t.Error(err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	Elect(t, first, "first")
	time.AfterFunc(time.Second, cancel)
	if _, err := second.Elect(ctx, store.Node{APIAddr: "gone"}); !errors.Is(err, context.Canceled) {
		t.Errorf("an election that was given up: %v", err)
	}
	awaitNodes(t, first, "first")
}

// candidate runs for office in the background; the function it returns waits
// for the victory.
func candidate(t *testing.T, s store.Elector, name string) func(*testing.T) store.Term {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	type outcome struct {
		term store.Term
		err  error
	}
	done := make(chan outcome, 1)
	go func() {
		term, err := s.Elect(ctx, store.Node{APIAddr: name})
		done <- outcome{term, err}
	}()
	return func(t *testing.T) store.Term {
		t.Helper()
		o := <-done
		if o.err != nil {
			t.Fatalf("electing %q: %v", name, o.err)
		}
		return o.term
	}
}

// awaitNodes waits until Nodes names exactly these, the active one first.
func awaitNodes(t *testing.T, s store.Elector, active string, waiting ...string) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		nodes, err := s.Nodes(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ok := len(nodes) == 1+len(waiting) && nodes[0].APIAddr == active && nodes[0].Active
		for i, name := range waiting {
			ok = ok && nodes[i+1].APIAddr == name && !nodes[i+1].Active
		}
		switch {
		case ok:
			return
		case time.Now().After(deadline):
			t.Fatalf("the nodes are %+v, want %q and %q", nodes, active, waiting)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// lost waits until a term is over.
func lost(t *testing.T, term store.Term) {
	t.Helper()
	select {
	case <-term.Lost():
	case <-time.After(patience):
		t.Fatal("the term goes on")
	}
	if term.Valid() {
		t.Error("a lost term is valid")
	}
}
