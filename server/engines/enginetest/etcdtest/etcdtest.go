// Package etcdtest starts a real etcd of one member that lives as long as a
// test: in a temporary folder, on loopback and free ports.
package etcdtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

const startLimit = 30 * time.Second

// Server is a running etcd.
type Server struct {
	URL    string // http://127.0.0.1:port
	folder string
	stop   func()
	ended  <-chan error
	log    *bytes.Buffer // read once ended has told
}

// Start returns once etcd answers. The caller must call Stop.
func Start() (*Server, error) {
	program, err := exec.LookPath("etcd")
	if err != nil {
		return nil, errors.New("this test needs a real etcd: apt-get install etcd-server")
	}
	folder, err := os.MkdirTemp("", "etcdtest-")
	if err != nil {
		return nil, err
	}
	s := &Server{folder: folder, log: &bytes.Buffer{}}
	if err := s.start(program); err != nil {
		s.Stop()
		return nil, fmt.Errorf("starting etcd: %w", err)
	}
	return s, nil
}

func (s *Server) start(program string) error {
	client, err := freeURL()
	if err != nil {
		return err
	}
	peer, err := freeURL()
	if err != nil {
		return err
	}
	s.URL = client
	command := exec.Command(program, "--name=one", "--data-dir="+s.folder, "--unsafe-no-fsync",
		"--listen-client-urls="+client, "--advertise-client-urls="+client,
		"--listen-peer-urls="+peer, "--initial-advertise-peer-urls="+peer, "--initial-cluster=one="+peer)
	command.Env = append(os.Environ(), "ETCD_UNSUPPORTED_ARCH="+runtime.GOARCH)
	command.Stdout, command.Stderr = s.log, s.log
	// The server ends with us even if we are killed.
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.run(command); err != nil {
		return err
	}
	return s.await()
}

// run starts etcd on a thread of its own, which lives as long as it does:
// Pdeathsig fires when the thread ends that started the process.
func (s *Server) run(command *exec.Cmd) error {
	started, ended := make(chan error, 1), make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		err := command.Start()
		started <- err
		if err == nil {
			ended <- command.Wait()
		}
	}()
	if err := <-started; err != nil {
		return err
	}
	s.ended = ended
	s.stop = func() {
		_ = command.Process.Kill()
		<-ended //nolint:errcheck // it was killed
	}
	return nil
}

// await returns once etcd says that it is healthy.
func (s *Server) await() error {
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	for {
		err := healthy(ctx, s.URL)
		if err == nil {
			return nil
		}
		select {
		case ended := <-s.ended:
			s.stop = nil
			return fmt.Errorf("it ended: %w: %s", ended, s.log)
		case <-ctx.Done():
			return fmt.Errorf("asking for its health: %w", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func healthy(ctx context.Context, server string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, server+"/health", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	return nil
}

func freeURL() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer func() { _ = listener.Close() }()
	return "http://" + listener.Addr().String(), nil
}

// Stop ends the server and removes its folder.
func (s *Server) Stop() {
	if s.stop != nil {
		s.stop()
	}
	_ = os.RemoveAll(s.folder)
}
