package main

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/novatech/securevault/server/engines/enginetest/certtest"
	"github.com/novatech/securevault/server/engines/enginetest/etcdtest"
)

// TestAClusterKeepsToTLS is three servers that speak TLS to their clients, to
// each other and to an etcd that asks for certificates and passwords.
func TestAClusterKeepsToTLS(t *testing.T) {
	etcd, err := etcdtest.StartSecure()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(etcd.Stop)
	authority := newAuthority(t, "nodes")
	own, err := authority.Write(t.TempDir(), "node", "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: authority.Pool(), MinVersion: tls.VersionTLS12}}
	c := &cluster{
		scheme:   "https",
		listener: fmt.Sprintf("tls_cert_file: %q, tls_key_file: %q", own.Certificate, own.Key),
		more:     fmt.Sprintf("cluster_ca_file: %q\n", own.Authority),
		client:   &http.Client{Transport: transport},
	}
	c.open(t, fmt.Sprintf("{etcd: {address: %q, lock_timeout: 4s, path: %s, username: %s, password: %s, tls_ca_file: %q, tls_cert_file: %q, tls_key_file: %q}}",
		etcd.URL, etcdtest.Path, etcdtest.Username, etcdtest.Password, etcd.Files.Authority, etcd.Files.Certificate, etcd.Files.Key))
	t.Run("a client shows its certificate to a standby", func(t *testing.T) { c.logsInByCertificate(t, transport) })
	t.Run("a lease survives its server", c.leaseSurvives)
	t.Run("nodes that ask for certificates are shown one", func(t *testing.T) { c.requiresCertificates(t, own) })
	t.Run("a standby believes nobody whom cluster_ca_file does not vouch for", func(t *testing.T) { c.doubts(t, own.Authority) })
}

func newAuthority(t *testing.T, name string) *certtest.Authority {
	t.Helper()
	authority, err := certtest.New(name)
	if err != nil {
		t.Fatal(err)
	}
	return authority
}

// logsInByCertificate logs in at a standby, which has to tell the active one
// whom it talks to.
func (c *cluster) logsInByCertificate(t *testing.T, plain *http.Transport) {
	clients := newAuthority(t, "clients")
	standby := (c.active(t) + 1) % len(c.nodes)
	c.must(t, standby, "PUT", "sys/auth/cert", map[string]any{"type": "cert"})
	c.must(t, standby, "PUT", "auth/cert/certs/web", map[string]any{"certificate": string(clients.PEM()), "allowed_common_names": "web"})
	for name, test := range map[string]struct {
		authority *certtest.Authority
		want      int
	}{
		"web":      {clients, http.StatusOK},
		"stranger": {clients, http.StatusBadRequest},
		"forger":   {newAuthority(t, "clients"), http.StatusBadRequest},
	} {
		status, answer := c.logInAs(t, standby, plain, test.authority, name)
		if status != test.want {
			t.Errorf("%s: %d %v, want %d", name, status, answer, test.want)
		}
		if auth, ok := answer["auth"].(map[string]any); ok && auth["metadata"].(map[string]any)["common_name"] != name {
			t.Errorf("%s is taken for %v", name, auth["metadata"])
		}
	}
	if status, answer, _ := c.send(t.Context(), standby, "PUT", "auth/cert/login", nil); status != http.StatusBadRequest {
		t.Errorf("without a certificate: %d %v", status, answer)
	}
}

// logInAs logs in at a node with a new certificate, following no redirect.
func (c *cluster) logInAs(t *testing.T, node int, plain *http.Transport, authority *certtest.Authority, name string) (int, map[string]any) {
	t.Helper()
	certificate, err := authority.Issue(name)
	if err != nil {
		t.Fatal(err)
	}
	transport := plain.Clone()
	transport.TLSClientConfig.Certificates = []tls.Certificate{certificate}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), "PUT", c.at(node, "auth/cert/login"), strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		t.Fatalf("%d: %v", resp.StatusCode, err)
	}
	return resp.StatusCode, answer
}

// leaseSurvives issues a credential at a standby, kills the active server and
// wants the lease at the next one.
func (c *cluster) leaseSurvives(t *testing.T) {
	postgres := startPostgres(t)
	target := postgres.NewDatabase(t)
	postgres.Exec(t, target, "CREATE TABLE revocations (name text, existed boolean, at timestamptz)")
	c.mountTarget(t, postgres, target)
	before := c.active(t)
	lease := c.must(t, (before+1)%len(c.nodes), "GET", "database/creds/app", nil)
	if took := c.killActive(t); took > takeoverLimit {
		t.Errorf("the takeover took %s", took)
	}
	if after := c.active(t); after == before {
		t.Errorf("node %d is active again", after)
	}
	for node := range c.nodes {
		c.eventually(t, node, "PUT", "sys/leases/renew", map[string]any{"lease_id": lease["lease_id"]})
	}
	c.must(t, before, "PUT", "sys/leases/revoke", map[string]any{"lease_id": lease["lease_id"], "sync": true})
	if left := rolesOf(t, postgres); len(left) > 0 {
		t.Errorf("the revoked credential is there: %q", left)
	}
}

// requiresCertificates starts all servers again with listeners that let nobody
// in without a certificate of the nodes' authority.
func (c *cluster) requiresCertificates(t *testing.T, own certtest.Files) {
	for _, n := range c.nodes {
		n.edit(t, c.listener, c.listener+fmt.Sprintf(", tls_client_ca_file: %q, tls_require_and_verify_client_cert: true", own.Authority))
		n.edit(t, c.more, c.more+fmt.Sprintf("cluster_cert_file: %q\ncluster_key_file: %q\n", own.Certificate, own.Key))
		n.kill()
		n.start(t)
	}
	certificate, err := tls.LoadX509KeyPair(own.Certificate, own.Key)
	if err != nil {
		t.Fatal(err)
	}
	transport := c.client.Transport.(*http.Transport)
	transport.CloseIdleConnections()
	transport = transport.Clone()
	transport.TLSClientConfig.Certificates = []tls.Certificate{certificate}
	c.client.Transport = transport
	for node := range c.nodes {
		c.awaitHealth(t, node, http.StatusTooManyRequests, http.StatusOK)
	}
	standby := (c.active(t) + 1) % len(c.nodes)
	c.eventually(t, standby, "GET", "auth/token/lookup-self", nil)
}

// eventually repeats what a standby cannot answer as long as it knows the former
// active server only.
func (c *cluster) eventually(t *testing.T, node int, method, path string, body any) {
	t.Helper()
	var last map[string]any
	await(t, func() bool {
		var status int
		status, last, _ = c.send(t.Context(), node, method, path, body)
		return status/100 == 2
	}, func() string { return fmt.Sprintf("%s %s at node %d: %v", method, path, node, last) })
}

// edit replaces a part of the configuration, which takes effect at the next
// start.
func (n *clusterNode) edit(t *testing.T, part, by string) {
	t.Helper()
	text, err := os.ReadFile(n.file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(n.file, []byte(strings.Replace(string(text), part, by, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
}

// doubts starts a standby again that trusts the CAs of the system only.
func (c *cluster) doubts(t *testing.T, authority string) {
	standby := (c.active(t) + 1) % len(c.nodes)
	n := c.nodes[standby]
	n.edit(t, fmt.Sprintf("cluster_ca_file: %q\n", authority), "")
	n.kill()
	n.start(t)
	c.awaitHealth(t, standby, http.StatusTooManyRequests)
	status, answer, _ := c.send(t.Context(), standby, "GET", "auth/token/lookup-self", nil)
	if status != http.StatusServiceUnavailable || !strings.Contains(fmt.Sprint(answer), "certificate signed by unknown authority") {
		t.Errorf("%d %v", status, answer)
	}
}
