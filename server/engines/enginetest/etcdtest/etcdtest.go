// Package etcdtest starts a real etcd of one member that lives as long as a
// test: in a temporary folder, on loopback and free ports. StartSecure starts
// one that speaks TLS, knows its clients by certificates and lets in users
// with passwords only (secure.go).
package etcdtest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"github.com/novatech/securevault/server/engines/enginetest/process"
)

const startLimit = time.Minute

// Server is a running etcd.
type Server struct {
	URL     string // http://127.0.0.1:port, or https
	folder  string
	tls     []string         // what makes etcd speak TLS
	trust   *tls.Config      // for clients; nil without TLS
	process *process.Process // nil: not started
}

// Start returns once etcd answers. The caller must call Stop.
func Start() (*Server, error) {
	s, err := newServer()
	if err != nil {
		return nil, err
	}
	return s.started()
}

func newServer() (*Server, error) {
	folder, err := os.MkdirTemp("", "etcdtest-")
	if err != nil {
		return nil, err
	}
	return &Server{folder: folder}, nil
}

// started starts etcd, or leaves nothing behind.
func (s *Server) started() (*Server, error) {
	program, err := exec.LookPath("etcd")
	if err != nil {
		s.Stop()
		return nil, errors.New("this test needs a real etcd: apt-get install etcd-server")
	}
	if err := s.start(program); err != nil {
		s.Stop()
		return nil, fmt.Errorf("starting etcd: %w", err)
	}
	return s, nil
}

func (s *Server) start(program string) error {
	ports, err := process.FreePorts(2)
	if err != nil {
		return err
	}
	client, peer := "127.0.0.1:"+strconv.Itoa(ports[0]), "http://127.0.0.1:"+strconv.Itoa(ports[1])
	s.URL = "http://" + client
	if s.trust != nil {
		s.URL = "https://" + client
	}
	command := exec.Command(program, append(s.tls, "--name=one", "--data-dir="+filepath.Join(s.folder, "data"), "--unsafe-no-fsync",
		"--listen-client-urls="+s.URL, "--advertise-client-urls="+s.URL,
		"--listen-peer-urls="+peer, "--initial-advertise-peer-urls="+peer, "--initial-cluster=one="+peer)...)
	command.Env = append(os.Environ(), "ETCD_UNSUPPORTED_ARCH="+runtime.GOARCH)
	if s.process, err = process.Start(command, filepath.Join(s.folder, "log"), syscall.SIGKILL); err != nil {
		return err
	}
	return s.await()
}

// await returns once etcd says that it is healthy.
func (s *Server) await() error {
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	return s.process.Await(ctx, "asking for its health", s.healthy)
}

func (s *Server) healthy(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/health", nil)
	if err != nil {
		return err
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: s.trust, DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	return nil
}

// Stop ends the server and removes its folder.
func (s *Server) Stop() {
	if s.process != nil {
		s.process.Stop()
	}
	_ = os.RemoveAll(s.folder)
}
