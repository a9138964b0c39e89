package bench

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
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
			fmt.Sprintf(`{{ with secret %q }}{{ .Data.username }}:{{ .Data.password }}{{ end }}`, secretPath(i)),
			s.path(fmt.Sprintf("out/%d", i)))
		agent.WriteString(block)
		peer.WriteString(block)
	}
	s.write(b, "agent.hcl", agent.String())
	s.write(b, "peer.hcl", peer.String())
	return s
}

// secretPath names the secret of a template by its number.
func secretPath(i int) string { return fmt.Sprintf("database/creds/app-%d", i) }

// keepState has our agent keep what it holds beyond its end; consul-template
// has nothing of the kind.
func (s *scene) keepState(b *testing.B) {
	b.Helper()
	agent, err := os.ReadFile(s.path("agent.hcl"))
	if err != nil {
		b.Fatal(err)
	}
	s.write(b, "agent.hcl", fmt.Sprintf("%s\nstate {\n  path = %q\n}\n", agent, s.path("state")))
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
