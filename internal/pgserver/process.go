package pgserver

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
)

// initdb makes the cluster.
func initdb(ctx context.Context, binaries string, cfg Config, account *syscall.Credential) error {
	passwordFile := filepath.Join(cfg.Dir, passwordName)
	defer func() { _ = os.Remove(passwordFile) }()
	command := exec.CommandContext(ctx, filepath.Join(binaries, "initdb"),
		"--pgdata", filepath.Join(cfg.Dir, dataName), "--username", cfg.Superuser, "--pwfile", passwordFile,
		"--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C", "--no-sync")
	command.Dir = cfg.Dir
	command.SysProcAttr = &syscall.SysProcAttr{Credential: account, Pdeathsig: syscall.SIGKILL}
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("running initdb: %w: %s", err, output)
	}
	return nil
}

// process is the running server.
type process struct {
	command *exec.Cmd
	ended   chan struct{} // closed when the process is gone
}

// launch starts the server. It does not wait until it is ready.
func launch(binaries string, cfg Config, port int, account *syscall.Credential) (*process, error) {
	log, err := os.OpenFile(filepath.Join(cfg.Dir, logName), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return nil, fmt.Errorf("opening the log: %w", err)
	}
	settings := map[string]string{
		"listen_addresses":        host,
		"unix_socket_directories": cfg.Dir,
		"fsync":                   strconv.FormatBool(cfg.Durable),
		"shared_buffers":          "16MB", // small: tests run several servers at once
		"ssl":                     "on",
		"ssl_cert_file":           filepath.Join(cfg.Dir, certificateName),
		"ssl_key_file":            filepath.Join(cfg.Dir, keyName),
	}
	args := []string{"-D", filepath.Join(cfg.Dir, dataName), "-p", strconv.Itoa(port)}
	for name, value := range settings {
		args = append(args, "-c", name+"="+value)
	}
	command := exec.Command(filepath.Join(binaries, "postgres"), args...)
	command.Dir = cfg.Dir
	command.Stdout, command.Stderr = log, log
	command.SysProcAttr = &syscall.SysProcAttr{Credential: account, Pdeathsig: syscall.SIGQUIT, Setpgid: true}
	p := &process{command: command, ended: make(chan struct{})}
	started := make(chan error)
	go p.run(started, log)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("starting the server: %w", err)
	}
	return p, nil
}

// run starts the process, reports how that went, and waits for its end. It
// keeps its thread: Pdeathsig fires when the thread ends that started the
// process, not only when the program does.
func (p *process) run(started chan<- error, log *os.File) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer func() { _ = log.Close() }()
	err := p.command.Start()
	started <- err
	if err == nil {
		_ = p.command.Wait()
	}
	close(p.ended)
}

// stop ends the process at once, without leaving one of its children behind,
// and waits for it.
func (p *process) stop() {
	_ = p.command.Process.Signal(syscall.SIGINT)
	<-p.ended
}
