package redis_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/database/dbplugin/v5"
	driver "github.com/redis/go-redis/v9"

	"github.com/novatech/securevault/server/engines/database"
	"github.com/novatech/securevault/server/engines/database/fault"
	"github.com/novatech/securevault/server/engines/database/redis"
	"github.com/novatech/securevault/server/engines/enginetest"
	"github.com/novatech/securevault/server/engines/enginetest/redistest"
)

// mountShop mounts the engine with the config "shop" and the role "app".
func mountShop(t *testing.T, config map[string]any) *enginetest.Mount {
	t.Helper()
	mount := enginetest.NewMount(t, database.Factory)
	mount.MustWrite(t, "config/shop", config)
	mount.MustWrite(t, "roles/app", reader())
	return mount
}

// open returns a plugin for a config as settings makes it.
func open(t *testing.T, config map[string]any) *redis.Database {
	t.Helper()
	delete(config, "plugin_name")
	delete(config, "allowed_roles")
	opened := redis.New().(*redis.Database)
	if _, err := opened.Initialize(t.Context(), dbplugin.InitializeRequest{Config: config, VerifyConnection: true}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = opened.Close() })
	return opened
}

func newUser(password string, rules ...string) dbplugin.NewUserRequest {
	return dbplugin.NewUserRequest{
		CredentialType: dbplugin.CredentialTypePassword, Password: password, Statements: dbplugin.Statements{Commands: rules},
	}
}

func usernameOf(lease *enginetest.Lease) string { return lease.Data["username"].(string) }

func passwordOf(lease *enginetest.Lease) string { return lease.Data["password"].(string) }

// described returns a user's line of ACL LIST, "" if there is no such user.
func described(t *testing.T, on *redistest.Server, name string) string {
	t.Helper()
	for _, line := range on.Do(t, "ACL", "LIST").([]any) {
		if fields := strings.Fields(line.(string)); fields[1] == name {
			return line.(string)
		}
	}
	return ""
}

func hashOf(password string) string {
	sum := sha256.Sum256([]byte(password))
	return "#" + hex.EncodeToString(sum[:])
}

// logsIn tells whether every server takes the password.
func logsIn(t *testing.T, servers []*redistest.Server, name, password string) bool {
	t.Helper()
	session, err := login(t.Context(), servers, name, password)
	if err != nil {
		if !strings.Contains(err.Error(), "WRONGPASS") {
			t.Fatalf("logging in as %q: %v", name, err)
		}
		return false
	}
	session.Close()
	return true
}

func wantClass(t *testing.T, err error, class fault.Class, says string) {
	t.Helper()
	if err == nil || fault.ClassOf(err) != class || !strings.Contains(err.Error(), says) {
		t.Errorf("got %v in class %d, want class %d and %q", err, fault.ClassOf(err), class, says)
	}
}

func TestAUserMayDoWhatItsRoleSaysAndNothingElse(t *testing.T) {
	makeAdmin(t, server)
	mount := mountShop(t, settings(at(server.Address())))
	cases := map[string]struct {
		creation any
		want     string // what ACL LIST says behind the password; NAME is the user's
	}{
		"a list in JSON":            {`["~app:*", "+@read"]`, "~app:* resetchannels -@all +@read"},
		"a text":                    {"~app:* +@read -keys", "~app:* resetchannels -@all +@read -keys"},
		"rules in quotes":           {`'~app:*' "+@read"`, "~app:* resetchannels -@all +@read"},
		"several statements":        {[]string{"~app:*", `["+@read"]`, "+set"}, "~app:* resetchannels -@all +@read +set"},
		"keys of its own":           {"~{{name}}:* ~{{ username }}.* +get", "~NAME:* ~NAME.* resetchannels -@all +get"},
		"channels":                  {"&news:* +subscribe", "resetchannels &news:* -@all +subscribe"},
		"a selector":                {`'(+get ~cache:*)' ~app:* +set`, "~app:* resetchannels -@all +set (~cache:* resetchannels -@all +get)"},
		"keys to read and to write": {"%R~in:* %W~out:* +@all", "%R~in:* %W~out:* resetchannels +@all"},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			mount.MustWrite(t, "roles/app", map[string]any{"creation_statements": test.creation})
			lease := mount.MustIssue(t, "creds/app")
			user := usernameOf(lease)
			got := described(t, server, user)
			want := fmt.Sprintf("user %s on sanitize-payload %s %s", user, hashOf(passwordOf(lease)), strings.ReplaceAll(test.want, "NAME", user))
			if got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
			if err := mount.Revoke(t.Context(), lease); err != nil || described(t, server, user) != "" {
				t.Errorf("revoking: %v, the user is %q", err, described(t, server, user))
			}
		})
	}
}

func TestARevocationEndsTheSessionsItself(t *testing.T) {
	makeAdmin(t, server)
	mount := mountShop(t, settings(at(server.Address())))
	mount.MustWrite(t, "roles/app", map[string]any{"creation_statements": "~app:* +@read +subscribe &*"})
	lease := mount.MustIssue(t, "creds/app")
	idle, end, err := server.Login(t.Context(), usernameOf(lease), passwordOf(lease))
	if err != nil {
		t.Fatal(err)
	}
	defer end()
	client := server.Client(usernameOf(lease), passwordOf(lease))
	defer func() { _ = client.Close() }()
	subscriber := client.Subscribe(t.Context(), "news")
	defer func() { _ = subscriber.Close() }()
	if _, err := subscriber.Receive(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := mount.Revoke(t.Context(), lease); err != nil {
		t.Fatal(err)
	}
	var refusal driver.Error
	if err := idle.Get(t.Context(), "app:1").Err(); err == nil || errors.As(err, &refusal) {
		t.Errorf("an idle session answers %v, want it ended", err)
	}
	if clients := server.Do(t, "CLIENT", "LIST").(string); strings.Contains(clients, "user="+usernameOf(lease)) {
		t.Errorf("the user is still connected: %s", clients)
	}
}

func TestAUserThatExistsIsNotOverwritten(t *testing.T) {
	makeAdmin(t, server)
	server.Do(t, "ACL", "SETUSER", "somebody", "on", ">theirs-alone", "~*", "+get")
	t.Cleanup(func() { server.Do(t, "ACL", "DELUSER", "somebody") })
	before := described(t, server, "somebody")
	_, err := open(t, settings(at(server.Address()))).NewNamedUser(t.Context(), "somebody", newUser("ours", "+get"))
	wantClass(t, err, fault.Refused, "add {{random 12}} to username_template")
	if after := described(t, server, "somebody"); after != before {
		t.Errorf("the user is now %q, was %q", after, before)
	}
}

func TestAFailureOnOneServerLeavesTheUserOnNone(t *testing.T) {
	cluster := startCluster(t)
	mount := mountShop(t, settings(map[string]any{"addresses": cluster.Addresses()}))
	second := cluster.Servers[1]
	cases := map[string]string{ // what is taken from the admin on the second server
		"a command that one refuses":  "-acl|setuser",
		"one that does not let us in": "off",
	}
	for name, lacking := range cases {
		t.Run(name, func(t *testing.T) {
			second.Do(t, "ACL", "SETUSER", limited, lacking)
			defer makeAdmin(t, second)
			if _, err := mount.Issue(t.Context(), "creds/app"); err == nil || !strings.Contains(err.Error(), second.Address()) {
				t.Errorf("got %v, want an error that names %s", err, second.Address())
			}
			for _, one := range cluster.Servers {
				if users := one.Users(t); len(users) != 2 {
					t.Errorf("%s has the users %q, want the two admins", one.Address(), users)
				}
			}
		})
	}
	t.Run("unless that fails as well", func(t *testing.T) {
		first, plugin := cluster.Servers[0], open(t, settings(map[string]any{"addresses": cluster.Addresses()}))
		second.Do(t, "ACL", "SETUSER", limited, "-acl|setuser")
		first.Do(t, "ACL", "SETUSER", limited, "-acl|deluser")
		_, err := plugin.NewNamedUser(t.Context(), "half-made", newUser("some-password", "+get"))
		wantClass(t, err, fault.Left, `removing the half-made user "half-made" failed as well`)
		makeAdmin(t, first)
		makeAdmin(t, second)
		if _, err := plugin.DeleteUser(t.Context(), dbplugin.DeleteUserRequest{Username: "half-made"}); err != nil || described(t, first, "half-made") != "" {
			t.Errorf("removing it later: %v, the user is %q", err, described(t, first, "half-made"))
		}
	})
}

func TestAServerThatIsDownDoesNotKeepOthersFromIssuing(t *testing.T) {
	cluster, group := startCluster(t), startSentinel(t)
	cases := map[string]struct {
		config map[string]any
		down   *redistest.Server
		others []*redistest.Server
		flag   func(t *testing.T) string // what is said of the server that is down
	}{
		"a replica of a cluster": {
			map[string]any{"addresses": cluster.Addresses()}, cluster.Servers[3], cluster.Servers[:3],
			func(t *testing.T) string { return cluster.Servers[0].Do(t, "CLUSTER", "NODES").(string) },
		},
		"a replica under a sentinel": {
			sentinelAt(group.Sentinel.Address()), group.Servers[1], group.Servers[:1],
			func(t *testing.T) string {
				return fmt.Sprint(group.Sentinel.Do(t, "SENTINEL", "REPLICAS", redistest.Master))
			},
		},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			plugin := open(t, settings(test.config))
			test.down.Kill()
			deadline := time.Now().Add(20 * time.Second)
			for said := ""; !strings.Contains(said, "slave,fail ") && !strings.Contains(said, "s_down"); said = test.flag(t) {
				if time.Now().After(deadline) {
					t.Fatalf("nobody says that the server is down: %s", said)
				}
				time.Sleep(50 * time.Millisecond)
			}
			warnings, err := plugin.NewNamedUser(t.Context(), "made-without", newUser("some-password", "+get", "~*"))
			if err != nil || len(warnings) != 1 || !strings.Contains(warnings[0], test.down.Address()) {
				t.Fatalf("got the warnings %q and %v, want one of %s", warnings, err, test.down.Address())
			}
			if !logsIn(t, test.others, "made-without", "some-password") {
				t.Error("the user does not log in")
			}
			remove := dbplugin.DeleteUserRequest{Username: "made-without"}
			_, err = plugin.DeleteUser(t.Context(), remove)
			wantClass(t, err, fault.Later, test.down.Address())
			if logsIn(t, test.others[:1], "made-without", "some-password") {
				t.Error("the user still logs in to the servers that are up")
			}
			if err := test.down.Revive(); err != nil {
				t.Fatal(err)
			}
			makeAdmin(t, test.down)
			if _, err := plugin.DeleteUser(t.Context(), remove); err != nil {
				t.Errorf("revoking once the server is back: %v", err)
			}
		})
	}
}

// Redis does not replicate users: the new master has to know them from before.
func TestUsersOutliveAFailover(t *testing.T) {
	group := startSentinel(t)
	master, replica := group.Servers[0], group.Servers[1]
	mount := mountShop(t, settings(sentinelAt(group.Sentinel.Address())))
	before := mount.MustIssue(t, "creds/app")
	master.Kill()
	deadline := time.Now().Add(30 * time.Second)
	after, err := mount.Issue(t.Context(), "creds/app")
	for err != nil || !strings.Contains(replica.Do(t, "INFO", "replication").(string), "role:master") {
		if time.Now().After(deadline) {
			t.Fatalf("there is no new master, or it knows no new users: %v", err)
		}
		time.Sleep(50 * time.Millisecond)
		after, err = mount.Issue(t.Context(), "creds/app")
	}
	for name, lease := range map[string]*enginetest.Lease{"before": before, "after": after} {
		if !logsIn(t, group.Servers[1:], usernameOf(lease), passwordOf(lease)) {
			t.Errorf("the user from %s the failover does not log in to the new master", name)
		}
	}
	if err := master.Revive(); err != nil {
		t.Fatal(err)
	}
	makeAdmin(t, master)
	for err := mount.Revoke(t.Context(), before); err != nil; err = mount.Revoke(t.Context(), before) {
		if time.Now().After(deadline) {
			t.Fatalf("revoking once the old master is back: %v", err)
		}
		time.Sleep(50 * time.Millisecond)
	}
	if logsIn(t, group.Servers[1:], usernameOf(before), passwordOf(before)) {
		t.Error("the user outlived its revocation")
	}
}

func TestNothingIsIssuedWhenEveryServerIsDown(t *testing.T) {
	group := startSentinel(t)
	plugin := open(t, settings(sentinelAt(group.Sentinel.Address())))
	for _, one := range group.Servers {
		one.Kill()
	}
	deadline := time.Now().Add(10 * time.Second)
	for {
		_, err := plugin.NewNamedUser(t.Context(), "made-nowhere", newUser("some-password", "+get"))
		wantClass(t, err, fault.Later, "")
		if strings.Contains(err.Error(), "every server is down") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the sentinel still has hope: %v", err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}
