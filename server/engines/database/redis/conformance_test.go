package redis_test

import (
	"context"
	"errors"
	"maps"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	driver "github.com/redis/go-redis/v9"

	"github.com/novatech/securevault/server/engines/database"
	"github.com/novatech/securevault/server/engines/database/plugintest"
	"github.com/novatech/securevault/server/engines/enginetest"
	"github.com/novatech/securevault/server/engines/enginetest/redistest"
)

var server *redistest.Server

func TestMain(m *testing.M) {
	server = redistest.MustStart(redistest.Options{Settings: []string{"enable-debug-command yes"}})
	code := m.Run()
	server.Stop()
	os.Exit(code)
}

// The admin as the README makes it, and what it may do.
const (
	limited         = "vault_admin"
	limitedPassword = "vault-admin-password"
)

var privileges = strings.Fields("+client|setname +client|list +client|kill +multi +exec " +
	"+acl|setuser +acl|getuser +acl|deluser +acl|save +config|rewrite +cluster|nodes")

// makeAdmin makes the README's admin on a server, with other rules on top.
func makeAdmin(t *testing.T, on *redistest.Server, others ...string) {
	t.Helper()
	command := []any{"ACL", "SETUSER", limited, "reset", "on", ">" + limitedPassword}
	for _, rule := range append(slices.Clone(privileges), others...) {
		command = append(command, rule)
	}
	on.Do(t, command...)
}

// settings are of config/shop: the README's admin, and where Redis is.
func settings(where map[string]any) map[string]any {
	all := map[string]any{
		"plugin_name": "redis-database-plugin", "allowed_roles": "*", "username": limited, "password": limitedPassword,
	}
	for field, value := range where {
		all[field] = value
	}
	return all
}

func at(address string) map[string]any {
	host, port, _ := net.SplitHostPort(address)
	return map[string]any{"host": host, "port": port}
}

func reader() map[string]any {
	return map[string]any{"db_name": "shop", "creation_statements": `["~app:*", "+@read"]`, "default_ttl": "1h", "max_ttl": "24h"}
}

func TestAServerConforms(t *testing.T) {
	makeAdmin(t, server)
	proxy := enginetest.NewProxy(t, server.Address())
	suite(proxy, settings(at(proxy.Address())), server).Run(t)
}

func TestTLSConforms(t *testing.T) {
	encrypted := start(t, redistest.Options{TLS: true})
	makeAdmin(t, encrypted)
	client, err := encrypted.ClientPEM()
	if err != nil {
		t.Fatal(err)
	}
	proxy := enginetest.NewProxy(t, encrypted.Address())
	suite(proxy, settings(map[string]any{
		"connection_url": "rediss://{{username}}:{{password}}@" + proxy.Address() + "/0",
		"ca_cert":        encrypted.AuthorityPEM(), "tls_certificate_key": client,
	}), encrypted).Run(t)
}

func TestAClusterConforms(t *testing.T) {
	cluster := startCluster(t)
	proxy := enginetest.NewProxy(t, cluster.Servers[0].Address())
	suite(proxy, settings(map[string]any{"addresses": proxy.Address()}), cluster.Servers...).Run(t)
}

func TestASentinelConforms(t *testing.T) {
	group := startSentinel(t)
	proxy := enginetest.NewProxy(t, group.Sentinel.Address())
	suite(proxy, settings(sentinelAt(proxy.Address())), group.Servers...).Run(t)
}

func sentinelAt(address string) map[string]any {
	return map[string]any{
		"sentinel_master": redistest.Master, "sentinel_addresses": address,
		"sentinel_username": limited, "sentinel_password": limitedPassword,
	}
}

func TestHostileInputIsSurvived(t *testing.T) {
	alone := start(t, redistest.Options{})
	makeAdmin(t, alone)
	plugintest.Hostile{
		Config:  settings(at(alone.Address())),
		Role:    map[string]any{"creation_statements": "~{{name}}:* +@read"},
		Halfway: map[string]any{"creation_statements": `["~app:*", "+@read", "+nosuchcommand"]`},
		Users:   alone.Users,
		Drop:    func(t testing.TB, name string) { alone.Do(t, "ACL", "DELUSER", name) },
		Admin:   limitedPassword,
	}.Run(t)
}

func start(t *testing.T, options redistest.Options) *redistest.Server {
	t.Helper()
	started, err := redistest.Start(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(started.Stop)
	return started
}

func startCluster(t *testing.T) *redistest.Group {
	t.Helper()
	return withAdmins(t, redistest.StartCluster)
}

func startSentinel(t *testing.T) *redistest.Group {
	t.Helper()
	return withAdmins(t, redistest.StartSentinel)
}

func withAdmins(t *testing.T, start func() (*redistest.Group, error)) *redistest.Group {
	t.Helper()
	group, err := start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(group.Stop)
	for _, one := range group.Servers {
		makeAdmin(t, one)
	}
	if group.Sentinel != nil {
		group.Sentinel.Do(t, "ACL", "SETUSER", limited, "on", ">"+limitedPassword, "+sentinel|master", "+sentinel|replicas")
	}
	return group
}

// suite expects a credential to work on each of the servers.
func suite(proxy *enginetest.Proxy, config map[string]any, servers ...*redistest.Server) enginetest.Suite {
	return enginetest.Suite{
		Factory: database.Factory,
		Setup:   []enginetest.Write{{Path: "config/shop", Data: config}, {Path: "roles/app", Data: reader()}},
		Creds:   "creds/app",
		Proxy:   proxy,
		Users: func(t testing.TB) (all []string) {
			for i, one := range servers {
				for _, name := range one.Users(t) {
					all = append(all, strconv.Itoa(i)+" "+name)
				}
			}
			return all
		},
		Login: func(ctx context.Context, data map[string]any) (enginetest.Session, error) {
			return login(ctx, servers, data["username"].(string), data["password"].(string))
		},
	}
}

// sessions are of one user, one on each server. None is replaced when it ends.
type sessions struct {
	open []*driver.Conn
	ends []func()
}

// login fails if any server refuses the user.
func login(ctx context.Context, servers []*redistest.Server, username, password string) (*sessions, error) {
	all := &sessions{}
	for _, one := range servers {
		session, end, err := one.Login(ctx, username, password)
		if err != nil {
			all.Close()
			return nil, err
		}
		all.open, all.ends = append(all.open, session), append(all.ends, end)
	}
	return all, nil
}

// Allowed implements enginetest.Session.
func (s *sessions) Allowed(ctx context.Context) error {
	for _, session := range s.open {
		// A server of a cluster may say that another one has the key: a right answer.
		err := session.Get(ctx, "app:1").Err()
		if err != nil && !errors.Is(err, driver.Nil) && !driver.HasErrorPrefix(err, "MOVED") {
			return err
		}
	}
	return nil
}

// Forbidden implements enginetest.Session.
func (s *sessions) Forbidden(ctx context.Context) error {
	for _, session := range s.open {
		for _, err := range []error{session.Get(ctx, "other:1").Err(), session.Set(ctx, "app:1", "x", 0).Err()} {
			if !driver.HasErrorPrefix(err, "NOPERM") {
				return nil
			}
		}
	}
	return errors.New("NOPERM for the key and for the command")
}

// Close implements enginetest.Session.
func (s *sessions) Close() {
	for _, end := range s.ends {
		end()
	}
}

func TestAConfigThatCannotWorkSaysWhy(t *testing.T) {
	encrypted, group := start(t, redistest.Options{TLS: true}), startSentinel(t)
	makeAdmin(t, server)
	makeAdmin(t, encrypted)
	with := func(where map[string]any, others map[string]any) map[string]any {
		maps.Copy(where, others)
		return where
	}
	cases := map[string]struct {
		where map[string]any
		says  string
	}{
		"a wrong password":              {with(at(server.Address()), map[string]any{"password": "not-the-password"}), "check username and password"},
		"no account":                    {with(at(server.Address()), map[string]any{"username": "", "password": ""}), "write username and password"},
		"a cluster that is none":        {map[string]any{"addresses": server.Address()}, "write host and port in place of addresses"},
		"a sentinel that is none":       {map[string]any{"sentinel_master": "shop", "sentinel_addresses": server.Address(), "sentinel_password": redistest.Password}, "are of sentinels"},
		"a master nobody knows":         {with(sentinelAt(group.Sentinel.Address()), map[string]any{"sentinel_master": "nobody"}), "check sentinel_master"},
		"a wrong sentinel_password":     {with(sentinelAt(group.Sentinel.Address()), map[string]any{"sentinel_password": "not-the-password"}), "WRONGPASS"},
		"TLS where there is none":       {with(at(server.Address()), map[string]any{"tls": true}), "firewall and tls"},
		"no TLS where it is needed":     {at(encrypted.Address()), "write tls=true"},
		"an authority that is unknown":  {with(at(encrypted.Address()), map[string]any{"tls": true}), "check tls, ca_cert"},
		"no certificate of the clients": {with(at(encrypted.Address()), map[string]any{"tls": true, "ca_cert": encrypted.AuthorityPEM()}), "tls_certificate_key"},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			mount := enginetest.NewMount(t, database.Factory)
			_, err := mount.Write(t.Context(), "config/shop", settings(test.where))
			if err == nil || !strings.Contains(err.Error(), test.says) {
				t.Fatalf("got %v, want %q", err, test.says)
			}
			for _, secret := range []string{limitedPassword, redistest.Password, "not-the-password"} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("error %q gives a password away", err)
				}
			}
		})
	}
}
