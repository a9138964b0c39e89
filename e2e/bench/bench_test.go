package bench

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/novatech/securevault/internal/vaulttest"
)

// scene is a fake server and a folder with the configurations of both
// programs for the same secrets.
type scene struct {
	server *vaulttest.Server
	addr   string
	dir    string
	count  int
}

// set makes a scene of count templates, each with a secret of its own.
func set(b *testing.B, count int, role vaulttest.Role) *scene {
	b.Helper()
	s := &scene{server: vaulttest.New(), dir: b.TempDir(), count: count}
	s.server.Role("database/creds/*", role)
	s.server.AppRole(vaulttest.AppRole{RoleID: "role", SecretID: "secret", TokenTTL: time.Hour})
	s.addr = "http://" + s.server.Listen(b)
	s.write(b, "role-id", "role")
	s.write(b, "secret-id", "secret")
	var agent, peer strings.Builder
	fmt.Fprintf(&agent, `
vault { address = %q }
auto_auth {
  method "approle" {
    config = {
      role_id_file_path = %q
      secret_id_file_path = %q
      remove_secret_id_file_after_reading = false
    }
  }
}
`, s.addr, s.path("role-id"), s.path("secret-id"))
	fmt.Fprintf(&peer, "vault {\n  address = %q\n  token = %q\n  renew_token = false\n}\n", s.addr, vaulttest.RootToken)
	for i := range count {
		block := fmt.Sprintf("template {\n  contents = %q\n  destination = %q\n}\n",
			fmt.Sprintf(`{{ with secret "database/creds/app-%d" }}{{ .Data.username }}:{{ .Data.password }}{{ end }}`, i),
			s.path(fmt.Sprintf("out/%d", i)))
		agent.WriteString(block)
		peer.WriteString(block)
	}
	s.write(b, "agent.hcl", agent.String())
	s.write(b, "peer.hcl", peer.String())
	return s
}

func (s *scene) path(name string) string { return filepath.Join(s.dir, name) }

func (s *scene) write(b *testing.B, name, content string) {
	b.Helper()
	if err := os.WriteFile(s.path(name), []byte(content), 0o600); err != nil {
		b.Fatal(err)
	}
}

// binary returns the program that an environment variable names.
func binary(b *testing.B, variable string) string {
	b.Helper()
	path := os.Getenv(variable)
	if path == "" {
		b.Fatalf("%s is not set; run `make bench`", variable)
	}
	return path
}

func (s *scene) agent(b *testing.B, args ...string) *exec.Cmd {
	b.Helper()
	return s.command(binary(b, "SECUREVAULT_BIN"), append([]string{"agent", "-config=" + s.path("agent.hcl"), "-log-level=warn"}, args...)...)
}

func (s *scene) peer(b *testing.B, args ...string) *exec.Cmd {
	b.Helper()
	return s.command(binary(b, "CONSUL_TEMPLATE_BIN"), append([]string{"-config=" + s.path("peer.hcl"), "-log-level=err"}, args...)...)
}

func (s *scene) command(path string, args ...string) *exec.Cmd {
	cmd := exec.Command(path, args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.dir}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// rendered reports whether the last of the files is there, and whole.
func (s *scene) rendered() bool {
	for _, i := range []int{0, s.count / 2, s.count - 1} {
		content, err := os.ReadFile(s.path(fmt.Sprintf("out/%d", i)))
		if err != nil || !bytes.Contains(content, []byte(":password-")) {
			return false
		}
	}
	return true
}

// once runs a program that renders everything and ends, b.N times.
func once(b *testing.B, s *scene, run func() *exec.Cmd) {
	b.Helper()
	before := s.server.Requests()
	for i := 0; b.Loop(); i++ {
		b.StopTimer()
		// Moved, not removed: ext4 spends its time on stepping over inodes
		// that were freed in the last seconds.
		if err := os.Rename(s.path("out"), s.path(fmt.Sprintf("out-%d", i))); err != nil && i > 0 {
			b.Fatal(err)
		}
		cmd := run()
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		b.StartTimer()
		if err := cmd.Run(); err != nil || !s.rendered() {
			b.Fatalf("running %s: %v\n%s", cmd.Path, err, stderr.String())
		}
	}
	b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N), "ms/run")
	b.ReportMetric(float64(s.server.Requests()-before)/float64(b.N), "requests/run")
	b.ReportMetric(0, "ns/op")
}

var lasting = vaulttest.Role{TTL: time.Hour, MaxTTL: 24 * time.Hour}

func BenchmarkOneSecret(b *testing.B) {
	b.Run("securevault with login", func(b *testing.B) {
		s := set(b, 1, lasting)
		once(b, s, func() *exec.Cmd { return s.agent(b, "-exit-after-auth") })
	})
	b.Run("consul-template with token", func(b *testing.B) {
		s := set(b, 1, lasting)
		once(b, s, func() *exec.Cmd { return s.peer(b, "-once") })
	})
}

func BenchmarkThousandSecrets(b *testing.B) {
	b.Run("securevault", func(b *testing.B) {
		s := set(b, 1000, lasting)
		once(b, s, func() *exec.Cmd { return s.agent(b, "-exit-after-auth") })
	})
	b.Run("consul-template", func(b *testing.B) {
		s := set(b, 1000, lasting)
		once(b, s, func() *exec.Cmd { return s.peer(b, "-once") })
	})
}

// rest starts a daemon, lets it come to rest and reports its memory.
func rest(b *testing.B, s *scene, cmd *exec.Cmd, settle time.Duration) {
	b.Helper()
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	defer end(cmd)
	for !s.rendered() {
		time.Sleep(10 * time.Millisecond)
	}
	time.Sleep(settle)
	b.ReportMetric(float64(memory(b, cmd.Process.Pid))/1e6, "MB-RSS")
	b.ReportMetric(0, "ns/op")
}

// end stops a daemon, by the signal that both programs obey.
func end(cmd *exec.Cmd) {
	_ = cmd.Process.Signal(syscall.SIGINT)
	kill := time.AfterFunc(10*time.Second, func() { _ = cmd.Process.Kill() })
	defer kill.Stop()
	_ = cmd.Wait()
}

// memory returns the resident set of a process in bytes.
func memory(b *testing.B, pid int) int64 {
	b.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	kilobytes, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	if err != nil {
		b.Fatal(err)
	}
	return kilobytes * 1024
}

func BenchmarkMemoryAtRest(b *testing.B) {
	for _, count := range []int{1, 1000} {
		b.Run(fmt.Sprintf("securevault %d", count), func(b *testing.B) {
			s := set(b, count, lasting)
			for b.Loop() {
				rest(b, s, s.agent(b), 10*time.Second)
			}
		})
		b.Run(fmt.Sprintf("consul-template %d", count), func(b *testing.B) {
			s := set(b, count, lasting)
			for b.Loop() {
				rest(b, s, s.peer(b), 10*time.Second)
			}
		})
	}
}

// BenchmarkRefusedRenewals counts what 20 s of refused renewals of one lease
// of 20 s cause.
func BenchmarkRefusedRenewals(b *testing.B) {
	for name, start := range map[string]func(*testing.B, *scene) *exec.Cmd{
		"securevault":     func(b *testing.B, s *scene) *exec.Cmd { return s.agent(b) },
		"consul-template": func(b *testing.B, s *scene) *exec.Cmd { return s.peer(b) },
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				s := set(b, 1, vaulttest.Role{TTL: 20 * time.Second, MaxTTL: time.Hour})
				s.server.Inject(vaulttest.Fault{Op: vaulttest.Renew, Status: 400, Messages: []string{"no"}})
				cmd := start(b, s)
				if err := cmd.Start(); err != nil {
					b.Fatal(err)
				}
				time.Sleep(20 * time.Second)
				b.ReportMetric(float64(s.server.Issued("")), "credentials")
				b.ReportMetric(float64(s.server.Count(vaulttest.Renew)), "renewals")
				b.ReportMetric(0, "ns/op")
				end(cmd)
			}
		})
	}
}
