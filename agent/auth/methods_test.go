package auth

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/novatech/securevault/internal/vault"
	"github.com/novatech/securevault/internal/vaulttest"
)

// sent lets a method log in at a fake server, which takes anything at path,
// and returns the body that the server was sent.
func sent(t *testing.T, m Method, path string) map[string]any {
	t.Helper()
	server := vaulttest.New()
	server.Method(path, vaulttest.Method{Token: vaulttest.Token{TTL: time.Hour}})
	auth, err := m.Login(t.Context(), server.Client(t))
	if err != nil {
		t.Fatalf("logging in at %s: %v", path, err)
	}
	if auth.Token == "" || auth.TTL != time.Hour || !m.Owns() {
		t.Errorf("token %v with a TTL of %s, owned %v; want one of an hour that is the agent's own", auth.Token, auth.TTL, m.Owns())
	}
	return server.Logins()[0].Body
}

// refused lets a method log in, which must fail without asking the server,
// and with an error that says all of parts.
func refused(t *testing.T, m Method, parts ...string) error {
	t.Helper()
	server := vaulttest.New()
	_, err := m.Login(t.Context(), server.Client(t))
	if err == nil {
		t.Fatalf("the login succeeded, want an error that says %q", parts)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the error does not say %q: %v", part, err)
		}
	}
	if n := len(server.Logins()); n != 0 {
		t.Errorf("the server was asked %d times", n)
	}
	return err
}

// wantBody compares a body, all of whose values are texts.
func wantBody(t *testing.T, got map[string]any, want map[string]string) {
	t.Helper()
	for key, value := range want {
		if got[key] != value {
			t.Errorf("%s = %q, want %q", key, got[key], value)
		}
	}
	for key := range got {
		if _, ok := want[key]; !ok {
			t.Errorf("%s was sent, want it left out", key)
		}
	}
}

// put writes a file as careful writers do, and returns its path.
func put(t *testing.T, dir, name, content string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path+".new", []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
	return path
}

func gone(t *testing.T, path string) bool {
	t.Helper()
	_, err := os.Lstat(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return err != nil
}

func TestKubernetesReadsTheTokenAtEachLogin(t *testing.T) {
	dir := t.TempDir()
	path := put(t, dir, "token", "first.service.account\n")
	method := NewKubernetes("/auth/k8s/", "app", path)
	wantBody(t, sent(t, method, "auth/k8s/login"), map[string]string{"role": "app", "jwt": "first.service.account"})
	put(t, dir, "token", "second.service.account\n")
	wantBody(t, sent(t, method, "auth/k8s/login"), map[string]string{"role": "app", "jwt": "second.service.account"})
}

func TestKubernetesOutsideAPodSaysWhatToDo(t *testing.T) {
	if !gone(t, KubernetesTokenPath) {
		t.Fatal("this test runs in a pod with a service account token; run it elsewhere")
	}
	refused(t, NewKubernetes("auth/kubernetes", "app", ""), KubernetesTokenPath, "automountServiceAccountToken", "token_path")
}

func TestJWTIsRemovedAfterReadingAndKeptForLater(t *testing.T) {
	dir := t.TempDir()
	path := put(t, dir, "jwt", "a.b.c\n")
	method := NewJWT(JWTConfig{Mount: "auth/jwt", Role: "app", Path: path, Remove: true})
	wantBody(t, sent(t, method, "auth/jwt/login"), map[string]string{"role": "app", "jwt": "a.b.c"})
	if !gone(t, path) {
		t.Error("the file is still there")
	}
	wantBody(t, sent(t, method, "auth/jwt/login"), map[string]string{"role": "app", "jwt": "a.b.c"})
	put(t, dir, "jwt", "d.e.f")
	wantBody(t, sent(t, method, "auth/jwt/login"), map[string]string{"role": "app", "jwt": "d.e.f"})
}

func TestJWTBehindALink(t *testing.T) {
	tests := []struct {
		name               string
		follow             bool
		linkGone, fileGone bool
	}{
		{"the link is removed", false, true, false},
		{"what it points to is removed", true, false, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			file, link := put(t, dir, "real", "a.b.c"), filepath.Join(dir, "link")
			if err := os.Symlink(file, link); err != nil {
				t.Fatal(err)
			}
			method := NewJWT(JWTConfig{Mount: "auth/jwt", Path: link, Remove: true, FollowLinks: test.follow})
			wantBody(t, sent(t, method, "auth/jwt/login"), map[string]string{"jwt": "a.b.c"})
			if gone(t, link) != test.linkGone || gone(t, file) != test.fileGone {
				t.Errorf("link gone: %v, file gone: %v", gone(t, link), gone(t, file))
			}
		})
	}
}

func TestReadPeriods(t *testing.T) {
	tests := []struct {
		name       string
		configured time.Duration
		remove     bool
		want       time.Duration
	}{
		{"a file that stays", 0, false, time.Minute},
		{"a file that is removed", 0, true, 500 * time.Millisecond},
		{"as configured", 7 * time.Second, true, 7 * time.Second},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for _, method := range []Watcher{
				NewJWT(JWTConfig{Path: "/jwt", Remove: test.remove, Period: test.configured}),
				NewPassword(PasswordConfig{Path: "/password", Remove: test.remove, Period: test.configured}),
			} {
				if paths, every := method.Watched(); every != test.want || len(paths) != 1 {
					t.Errorf("%T looks at %q every %s, want %s", method, paths, every, test.want)
				}
			}
		})
	}
}

func TestUserpassAndLDAPSendThePasswordToThePathOfTheUser(t *testing.T) {
	dir := t.TempDir()
	for _, mount := range []string{"auth/userpass", "auth/corp/ldap"} {
		path := put(t, dir, "password", " two words \r\n")
		method := NewPassword(PasswordConfig{Mount: mount, Username: "app@corp", Path: path, Remove: true})
		wantBody(t, sent(t, method, mount+"/login/app@corp"), map[string]string{"password": " two words "})
		if !gone(t, path) {
			t.Error("the password is still there")
		}
	}
}

func TestAUserNameThatLeadsElsewhereIsRefused(t *testing.T) {
	path := put(t, t.TempDir(), "password", "hunter2")
	for _, name := range []string{"", "..", "a/b", "../../sys/wrapping/unwrap"} {
		err := refused(t, NewPassword(PasswordConfig{Mount: "auth/userpass", Username: name, Path: path}), "username", "auth/userpass")
		if strings.Contains(err.Error(), "hunter2") {
			t.Error("the error tells the password")
		}
	}
}

func TestFilesThatHoldNoCredential(t *testing.T) {
	dir := t.TempDir()
	large := put(t, dir, "large", strings.Repeat("x", maxCredential+1))
	lines := put(t, dir, "lines", "hunter2\nhunter3\n")
	empty := put(t, dir, "empty", "\n")
	missing := filepath.Join(dir, "missing")
	tests := []struct {
		name   string
		method Method
		says   []string
	}{
		{"a missing JWT", NewJWT(JWTConfig{Path: missing}), []string{missing, "correct the path"}},
		{"a JWT without end", NewJWT(JWTConfig{Path: large}), []string{large, "larger than"}},
		{"an endless device", NewJWT(JWTConfig{Path: "/dev/zero"}), []string{"/dev/zero", "larger than"}},
		{"a password of two lines", NewPassword(PasswordConfig{Username: "u", Path: lines}), []string{lines, "several lines"}},
		{"no password", NewPassword(PasswordConfig{Username: "u", Path: empty}), []string{empty, "is empty"}},
		{"a folder", NewKubernetes("auth/kubernetes", "r", dir), []string{dir, "directory"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if err := refused(t, test.method, test.says...); strings.Contains(err.Error(), "hunter") {
				t.Errorf("the error tells the password: %v", err)
			}
		})
	}
}

func TestAFileThatCannotBeRemovedNamesTheOption(t *testing.T) {
	// Nobody may remove the files of /proc, and this one holds a bare value.
	const path = "/proc/sys/kernel/osrelease"
	refused(t, NewJWT(JWTConfig{Path: path, Remove: true}), path, "remove_jwt_after_reading = false")
}

func TestCertificateLogsInByItsRole(t *testing.T) {
	wantBody(t, sent(t, NewCertificate("auth/cert", "web", nil, 0), "auth/cert/login"), map[string]string{"name": "web"})
	wantBody(t, sent(t, NewCertificate("auth/cert", "", nil, 0), "auth/cert/login"), map[string]string{})
}

// wrapped returns an AppRole whose secret id comes wrapped, made at path, and
// a server that knows it.
func wrapped(t *testing.T, path string, ttl time.Duration) (*vaulttest.Server, *AppRole, string) {
	t.Helper()
	server, dir := vaulttest.New(), t.TempDir()
	server.AppRole(vaulttest.AppRole{RoleID: "the-role", SecretID: "the-secret", TokenTTL: time.Hour})
	token := server.Wrap(path, ttl, map[string]any{"secret_id": "the-secret", "secret_id_accessor": "x"})
	file := put(t, dir, "secret-id", token+"\n")
	return server, NewAppRole(AppRoleConfig{
		Mount: "auth/approle", RoleIDPath: put(t, dir, "role-id", "the-role"), SecretIDPath: file,
		WrappingPath: "auth/approle/role/app/secret-id",
	}), file
}

func TestAWrappedSecretIDIsUnwrappedOnceAndKept(t *testing.T) {
	server, method, file := wrapped(t, "auth/approle/role/app/secret-id", time.Minute)
	for range 2 { // the wrapping token in the file is good for one look
		if _, err := method.Login(t.Context(), server.Client(t)); err != nil {
			t.Fatal(err)
		}
	}
	token := server.Wrap("auth/approle/role/app/secret-id", time.Minute, map[string]any{"secret_id": "the-secret"})
	put(t, filepath.Dir(file), "secret-id", token)
	if _, err := method.Login(t.Context(), server.Client(t)); err != nil {
		t.Errorf("a new wrapping token in the file: %v", err)
	}
	if n := len(server.Logins()); n != 3 {
		t.Errorf("logins = %d, want 3", n)
	}
}

func TestAWrappingTokenMadeElsewhereIsNotUsed(t *testing.T) {
	server, method, file := wrapped(t, "auth/approle/role/admin/secret-id", time.Minute)
	_, err := method.Login(t.Context(), server.Client(t))
	for _, part := range []string{file, "auth/approle/role/admin/secret-id", "auth/approle/role/app/secret-id", "who wrote it"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("the error does not say %q: %v", part, err)
		}
	}
	for _, event := range server.History() {
		if event.Path == "sys/wrapping/unwrap" {
			t.Error("the token was unwrapped")
		}
	}
}

func TestAWrappingTokenThatWasUsedRaisesTheAlarm(t *testing.T) {
	server, method, file := wrapped(t, "auth/approle/role/app/secret-id", time.Minute)
	stolen, err := readCredential("wrapping token", file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := server.Client(t).Write(t.Context(), stolen, "sys/wrapping/unwrap", map[string]any{}); err != nil {
		t.Fatal(err)
	}
	_, err = method.Login(t.Context(), server.Client(t))
	if err == nil || !strings.Contains(err.Error(), "somebody else has used it") || !strings.Contains(err.Error(), file) {
		t.Errorf("error = %v, want one that names the file and suspects a theft", err)
	}
	if strings.Contains(err.Error(), stolen.Reveal()) || vault.Classify(err) != vault.Refused {
		t.Errorf("class %v, error %v; want a refusal that does not tell the token", vault.Classify(err), err)
	}
}
