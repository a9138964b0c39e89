package etcd_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/novatech/securevault/server/engines/enginetest/etcdtest"
	"github.com/novatech/securevault/server/store"
	"github.com/novatech/securevault/server/store/etcd"
	"github.com/novatech/securevault/server/store/storetest"
)

var (
	server *etcdtest.Server
	paths  atomic.Int64
)

func TestMain(m *testing.M) {
	var err error
	if server, err = etcdtest.Start(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	server.Stop()
	os.Exit(code)
}

// newPath is the prefix of a store that is empty.
func newPath() string { return fmt.Sprintf("test/%d", paths.Add(1)) }

func open(t testing.TB, path string) *etcd.Store {
	t.Helper()
	s, err := etcd.Open(t.Context(), etcd.Config{Addresses: []string{server.URL}, Path: path, TermLife: 3 * time.Second, Sync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// fresh opens an empty store that may be written.
func fresh(t testing.TB) store.Store {
	s := open(t, newPath())
	storetest.Elect(t, s, "test")
	return s
}

func TestEtcdMeetsTheContractOfStores(t *testing.T) { storetest.Run(t, fresh) }

func TestWhatEtcdHoldsSurvives(t *testing.T) {
	path := newPath()
	storetest.Survives(t, func(t testing.TB) (store.Store, func() error) {
		s := open(t, path)
		term := storetest.Elect(t, s, "test")
		return s, func() error {
			if err := term.Resign(t.Context()); err != nil {
				return err
			}
			return s.Close()
		}
	})
}

func TestOneServerAtATimeIsActive(t *testing.T) {
	path := newPath()
	storetest.Elects(t, func(t testing.TB) store.Elector { return open(t, path) }, func(t testing.TB) {
		revokeOldest(t, path+"/election/")
	})
}

// revokeOldest ends the lease of the active server, as etcd does when it hears
// nothing of it.
func revokeOldest(t testing.TB, prefix string) {
	t.Helper()
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{server.URL}})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	first, err := client.Get(t.Context(), prefix, clientv3.WithFirstCreate()...)
	if err != nil || len(first.Kvs) == 0 {
		t.Fatalf("nobody is active: %v", err)
	}
	if _, err := client.Revoke(context.Background(), clientv3.LeaseID(first.Kvs[0].Lease)); err != nil {
		t.Fatal(err)
	}
}

// TestAWriteOfAServerThatDoesNotKnowHasNoEffect takes the key of the election
// away behind the back of its server.
func TestAWriteOfAServerThatDoesNotKnowHasNoEffect(t *testing.T) {
	path := newPath()
	s := open(t, path)
	term := storetest.Elect(t, s, "test")
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{server.URL}})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := client.Delete(t.Context(), path+"/election/", clientv3.WithPrefix()); err != nil {
		t.Fatal(err)
	}
	if !term.Valid() {
		t.Fatal("it knows already: this proves nothing")
	}
	if err := s.Put(t.Context(), "k", []byte("late")); !errors.Is(err, store.ErrNotActive) {
		t.Errorf("it was answered with %v", err)
	}
	if value, err := s.Get(t.Context(), "k"); value != nil || err != nil {
		t.Errorf("the store holds %q, %v", value, err)
	}
	if term.Valid() {
		t.Error("it has learned nothing")
	}
}

func BenchmarkEtcd(b *testing.B) { storetest.Bench(b, fresh) }

func TestAStoreThatCannotBeOpenedSaysWhatToDo(t *testing.T) {
	for name, test := range map[string]struct {
		config etcd.Config
		want   string
	}{
		"nobody there":   {etcd.Config{Addresses: []string{"http://127.0.0.1:1"}, RequestTimeout: time.Second}, "check address"},
		"no such CA":     {etcd.Config{Addresses: []string{server.URL}, CAFile: "missing.pem"}, "check tls_ca_file"},
		"no such domain": {etcd.Config{SRVDomain: "nothing.invalid"}, "check discovery_srv"},
	} {
		if _, err := etcd.Open(t.Context(), test.config); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v; want %q", name, err, test.want)
		}
	}
}
