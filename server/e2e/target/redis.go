package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/novatech/securevault/server/engines/enginetest/redistest"
)

func startRedis(ctx context.Context) (running, error) {
	server, err := redistest.Start(redistest.Options{})
	if err != nil {
		return running{}, err
	}
	client := server.Client(redistest.Admin, redistest.Password)
	defer func() { _ = client.Close() }()
	account := []any{"ACL", "SETUSER", admin, "on", ">" + adminPassword}
	for _, rule := range strings.Fields("+acl|setuser +acl|getuser +acl|deluser +acl|save +client|setname +client|list +client|kill +multi +exec +cluster|nodes") {
		account = append(account, rule) // docs/databases.md says what the admin needs
	}
	if err := client.Do(ctx, account...).Err(); err != nil {
		server.Stop()
		return running{}, err
	}
	return running{map[string]string{"DB_ADDRESS": server.Address()}, server.Stop}, nil
}

// loginRedis takes a REDIS_URL, for an account that may use the keys app:*.
func loginRedis(ctx context.Context, text string) error {
	settings, err := redis.ParseURL(value(text, "REDIS_URL"))
	if err != nil {
		return err
	}
	client := redis.NewClient(settings)
	defer func() { _ = client.Close() }()
	err = client.Set(ctx, "app:greeting", "hello", 0).Err()
	if err != nil && (strings.HasPrefix(err.Error(), "WRONGPASS") || strings.HasPrefix(err.Error(), "NOPERM")) {
		return fmt.Errorf("%w: %w", errRefused, err)
	}
	return err
}
