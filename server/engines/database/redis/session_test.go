package redis_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/database/dbplugin/v5"

	"github.com/novatech/securevault/server/engines/database/fault"
	"github.com/novatech/securevault/server/engines/enginetest/redistest"
)

// What would go wrong: a server of ours dies with a command on its way, the next
// one removes a user that does not exist yet, and then the command arrives.
func TestWhatADeadServerHasAskedForDoesNotComeLater(t *testing.T) {
	makeAdmin(t, server)
	mount := mountShop(t, settings(at(server.Address())))
	lease := mount.MustIssue(t, "creds/app")
	const late, session = "v-made-late", "securevault-DEADSERVER"
	for name, value := range map[string]any{"username": late, "session": session} {
		lease.Secret.InternalData[name] = value
	}
	dead, err := net.Dial("tcp", server.Address())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = dead.Close() }()
	say := func(line string) { _, _ = dead.Write([]byte(line + "\r\n")) }
	answer := make([]byte, 64)
	say("HELLO 2 AUTH " + limited + " " + limitedPassword + " SETNAME " + session + ".CONNECTION")
	if _, err := dead.Read(answer); err != nil {
		t.Fatal(err)
	}
	awake := putToSleep(t)
	say("ACL SETUSER " + late + " on >late-password +@all")
	if err := mount.Revoke(t.Context(), lease); err != nil {
		t.Fatal(err)
	}
	<-awake
	say("ACL SETUSER " + late + " on >late-password +@all")
	for err = error(nil); err == nil; {
		_ = dead.SetReadDeadline(time.Now().Add(5 * time.Second))
		_, err = dead.Read(answer)
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		t.Error("the dead server's connection is still open")
	}
	if slices.Contains(server.Users(t), late) {
		t.Error("the user is made after its revocation")
	}
}

// putToSleep makes the server do nothing for some seconds, and returns when it has
// begun.
func putToSleep(t *testing.T) (awake <-chan struct{}) {
	t.Helper()
	client := server.Client(redistest.Admin, redistest.Password)
	if err := client.Ping(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	other := server.Client(redistest.Admin, redistest.Password)
	t.Cleanup(func() { _ = other.Close() })
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := client.Do(context.Background(), "DEBUG", "SLEEP", "3").Err(); err != nil {
			t.Errorf("putting the server to sleep: %v", err)
		}
		_ = client.Close()
	}()
	t.Cleanup(func() { <-done })
	for answers := true; answers; {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		answers = other.Ping(ctx).Err() == nil
		cancel()
	}
	return done
}

func TestARequestThatEndsDoesNotWaitForTheServer(t *testing.T) {
	makeAdmin(t, server)
	plugin := open(t, settings(at(server.Address())))
	putToSleep(t)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	begun := time.Now()
	_, err := plugin.DeleteUser(ctx, dbplugin.DeleteUserRequest{Username: "nobody"})
	wantClass(t, err, fault.Later, "removing the user")
	if took := time.Since(begun); took > 2*time.Second {
		t.Errorf("it took %s", took)
	}
}

func TestAnotherSessionsConnectionsStay(t *testing.T) {
	makeAdmin(t, server)
	plugin := open(t, settings(at(server.Address())))
	other, end, err := server.Login(t.Context(), redistest.Admin, redistest.Password)
	if err != nil {
		t.Fatal(err)
	}
	defer end()
	if err := other.ClientSetName(t.Context(), "securevault-OTHER.CONNECTION").Err(); err != nil {
		t.Fatal(err)
	}
	for _, session := range []string{"securevault-DEAD", plugin.Session()} {
		if err := plugin.EndSession(t.Context(), session); err != nil {
			t.Errorf("ending %s: %v", session, err)
		}
	}
	if err := other.Ping(t.Context()).Err(); err != nil {
		t.Errorf("a session that lives was ended: %v", err)
	}
}
