package redis_test

import (
	"strings"
	"testing"

	"github.com/hashicorp/vault/sdk/database/dbplugin/v5"

	"github.com/novatech/securevault/server/engines/database/fault"
	"github.com/novatech/securevault/server/engines/database/redis"
	"github.com/novatech/securevault/server/engines/enginetest/redistest"
)

func newPassword(name, password string) dbplugin.UpdateUserRequest {
	return dbplugin.UpdateUserRequest{
		Username: name, CredentialType: dbplugin.CredentialTypePassword, Password: &dbplugin.ChangePassword{NewPassword: password},
	}
}

func TestUsersAndTheirEndSurviveARestart(t *testing.T) {
	for mode, options := range map[string]redistest.Options{"REWRITE": {}, "aclfile": {ACLFile: true}} {
		t.Run(mode, func(t *testing.T) {
			alone := start(t, options)
			makeAdmin(t, alone)
			config := settings(at(alone.Address()))
			config["persistence_mode"] = mode
			mount := mountShop(t, config)
			kept, ended := mount.MustIssue(t, "creds/app"), mount.MustIssue(t, "creds/app")
			restart := func() {
				t.Helper()
				alone.Kill()
				if err := alone.Revive(); err != nil {
					t.Fatal(err)
				}
			}
			restart()
			servers := []*redistest.Server{alone}
			if !logsIn(t, servers, usernameOf(kept), passwordOf(kept)) || !logsIn(t, servers, usernameOf(ended), passwordOf(ended)) {
				t.Error("the users did not survive the restart")
			}
			if err := mount.Revoke(t.Context(), ended); err != nil {
				t.Fatal(err)
			}
			restart()
			alone.Do(t, "ACL", "SETUSER", "static", "on", ">the-old-one")
			if _, err := open(t, config).UpdateUser(t.Context(), newPassword("static", "the-new-one")); err != nil {
				t.Fatal(err)
			}
			restart()
			if !logsIn(t, servers, usernameOf(kept), passwordOf(kept)) || logsIn(t, servers, usernameOf(ended), passwordOf(ended)) {
				t.Error("the restart undid a revocation, or more")
			}
			if !logsIn(t, servers, "static", "the-new-one") || logsIn(t, servers, "static", "the-old-one") {
				t.Error("the restart undid a rotation")
			}
		})
	}
}

func TestAServerThatCannotKeepUsersIsToldApart(t *testing.T) {
	makeAdmin(t, server)
	config := settings(at(server.Address()))
	config["persistence_mode"] = "ACLFILE"
	before := len(server.Users(t))
	plugin := open(t, config)
	_, err := plugin.NewNamedUser(t.Context(), "not-kept", newUser("some-password", "+get"))
	wantClass(t, err, fault.Refused, "set aclfile on the server, or persistence_mode=REWRITE")
	_, err = plugin.UpdateUser(t.Context(), newPassword(limited, "some-password"))
	wantClass(t, err, fault.Refused, "set aclfile on the server, or persistence_mode=REWRITE")
	if !logsIn(t, []*redistest.Server{server}, limited, limitedPassword) {
		t.Error("a rotation that was refused changed the password")
	}
	if after := len(server.Users(t)); after != before {
		t.Errorf("%d users, want %d as before", after, before)
	}
}

// The guide's "password": the one everybody shares, and nobody has for long.
func TestTheDefaultUsersPasswordRotatesAsAStaticRole(t *testing.T) {
	alone := start(t, redistest.Options{})
	makeAdmin(t, alone)
	mount, servers := mountShop(t, settings(at(alone.Address()))), []*redistest.Server{alone}
	rules := strings.Replace(described(t, alone, "default"), hashOf(redistest.Password), "", 1)
	old := redistest.Password
	wantRotated := func() {
		t.Helper()
		told, err := mount.Read(t.Context(), "static-creds/cache")
		if err != nil {
			t.Fatal(err)
		}
		if logsIn(t, servers, "default", old) {
			t.Error("the old password still logs in")
		}
		old = told["password"].(string)
		if !logsIn(t, servers, "", old) { // AUTH with one argument
			t.Error("the new password does not log in")
		}
	}
	mount.MustWrite(t, "static-roles/cache", map[string]any{"db_name": "shop", "username": "default", "rotation_period": "24h"})
	wantRotated()
	mount.MustWrite(t, "rotate-role/cache", nil)
	wantRotated()
	if _, err := open(t, settings(at(alone.Address()))).UpdateUser(t.Context(), newPassword("default", redistest.Password)); err != nil {
		t.Fatal(err)
	}
	if after := strings.Replace(described(t, alone, "default"), hashOf(redistest.Password), "", 1); after != rules {
		t.Errorf("the rules are now %q, were %q", after, rules)
	}
}

func TestAConfigThatLogsInAsTheDefaultUserIsNotLockedOut(t *testing.T) {
	alone := start(t, redistest.Options{})
	config := settings(at(alone.Address()))
	config["username"], config["password"] = "", redistest.Password
	mount := mountShop(t, config)
	_, err := mount.Write(t.Context(), "static-roles/cache", map[string]any{"db_name": "shop", "username": "default", "rotation_period": "24h"})
	if err == nil || !strings.Contains(err.Error(), "write username=default") {
		t.Errorf("got %v", err)
	}
	if !logsIn(t, []*redistest.Server{alone}, "default", redistest.Password) {
		t.Error("the password was changed")
	}
}

func TestAUserThatMayDoNothingLogsInAllTheSame(t *testing.T) {
	server.Do(t, "ACL", "SETUSER", "humble", "on", ">humble-password")
	t.Cleanup(func() { server.Do(t, "ACL", "DELUSER", "humble") })
	for password, says := range map[string]string{"humble-password": "", "not-the-password": "WRONGPASS"} {
		config := at(server.Address())
		config["username"], config["password"] = "humble", password
		_, err := redis.New().Initialize(t.Context(), dbplugin.InitializeRequest{Config: config, VerifyConnection: true})
		if (err == nil) != (says == "") || err != nil && !strings.Contains(err.Error(), says) {
			t.Errorf("with %q: %v", password, err)
		}
	}
}

func TestTheAdminRotatesItsOwnPassword(t *testing.T) {
	cluster := startCluster(t)
	alone := start(t, redistest.Options{})
	cases := map[string]struct {
		config  map[string]any
		servers []*redistest.Server
		name    string
	}{
		"the default user": {
			map[string]any{"connection_url": "redis://{{username}}:{{password}}@" + alone.Address(), "username": "default", "password": redistest.Password},
			[]*redistest.Server{alone}, "default",
		},
		"on every server of a cluster": {map[string]any{"addresses": cluster.Addresses()}, cluster.Servers, limited},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			config := settings(test.config)
			mount := mountShop(t, config)
			mount.MustWrite(t, "rotate-root/shop", nil)
			if logsIn(t, test.servers[:1], test.name, config["password"].(string)) {
				t.Error("the old password still logs in")
			}
			if err := mount.Revoke(t.Context(), mount.MustIssue(t, "creds/app")); err != nil {
				t.Errorf("revoking after the rotation: %v", err)
			}
		})
	}
}

func TestARotationThatFailsOnOneServerKeepsTheOldPasswordEverywhere(t *testing.T) {
	cluster := startCluster(t)
	plugin := open(t, settings(map[string]any{"addresses": cluster.Addresses()}))
	for _, one := range cluster.Servers {
		one.Do(t, "ACL", "SETUSER", "static", "on", ">the-old-one", "+get", "~*")
	}
	second := cluster.Servers[1]
	second.Do(t, "ACL", "SETUSER", limited, "-acl|setuser")
	_, err := plugin.UpdateUser(t.Context(), newPassword("static", "the-new-one"))
	wantClass(t, err, fault.Refused, "NOPERM")
	if !logsIn(t, cluster.Servers, "static", "the-old-one") {
		t.Error("the old password does not log in everywhere")
	}
	for _, one := range cluster.Servers {
		if strings.Contains(described(t, one, "static"), hashOf("the-new-one")) {
			t.Errorf("%s takes a password that nobody was given", one.Address())
		}
	}
	makeAdmin(t, second)
	if _, err := plugin.UpdateUser(t.Context(), newPassword("static", "the-new-one")); err != nil {
		t.Fatal(err)
	}
	if !logsIn(t, cluster.Servers, "static", "the-new-one") || logsIn(t, cluster.Servers[2:3], "static", "the-old-one") {
		t.Error("the rotation did not reach every server")
	}
}

// The engine takes a refusal for a proof that the old password is the real one.
func TestARotationThatCannotEndTheOldPasswordIsNotCalledRefused(t *testing.T) {
	cluster := startCluster(t)
	plugin := open(t, settings(map[string]any{"addresses": cluster.Addresses()}))
	for _, one := range cluster.Servers { // as an attempt left it that was interrupted
		one.Do(t, "ACL", "SETUSER", "static", "on", ">the-old-one", ">the-new-one")
	}
	cluster.Servers[1].Do(t, "ACL", "SETUSER", limited, "-acl|setuser")
	_, err := plugin.UpdateUser(t.Context(), newPassword("static", "the-new-one"))
	wantClass(t, err, fault.Later, "ending the old password")
	if !logsIn(t, cluster.Servers, "static", "the-new-one") {
		t.Error("the new password does not log in everywhere")
	}
}

func TestOnlyUsersThatExistGetANewPassword(t *testing.T) {
	makeAdmin(t, server)
	plugin := open(t, settings(at(server.Address())))
	_, err := plugin.UpdateUser(t.Context(), newPassword("nobody", "some-password"))
	wantClass(t, err, fault.NoUser, `the user "nobody" no longer exists`)
	if described(t, server, "nobody") != "" {
		t.Error("the user was made")
	}
	with := newPassword(limited, "some-password")
	with.Password.Statements.Commands = []string{"+@all"}
	_, err = plugin.UpdateUser(t.Context(), with)
	wantClass(t, err, fault.Refused, "leave the rotation statements out")
}
