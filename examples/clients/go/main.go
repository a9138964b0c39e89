// Command go is the guide's Go program, made runnable: it gets a database
// credential, has Vault's own LifetimeWatcher renew it while it is in use, and
// gives it back.
//
//	VAULT_ADDR=… VAULT_TOKEN=… PGHOST=… PGPORT=… go run ./examples/clients/go
//
// needs the role app-readonly of the guide; with a default_ttl of seconds there
// is no long wait for the renewal.
package main

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"time"

	vault "github.com/hashicorp/vault/api"
	_ "github.com/lib/pq"
)

// patience is how long to wait for the watcher to renew.
const patience = 30 * time.Second

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "Error:", err)
		os.Exit(1)
	}
}

func run() error {
	// Address and token come from VAULT_ADDR and VAULT_TOKEN.
	client, err := vault.NewClient(vault.DefaultConfig())
	if err != nil {
		return err
	}
	credential, err := getDbCredentials(client)
	if err != nil {
		return err
	}
	defer credential.Close()
	fmt.Println("issued", credential.leaseID)
	var orders int
	if err := credential.db.QueryRow("SELECT count(*) FROM orders").Scan(&orders); err != nil {
		return fmt.Errorf("counting the orders: %w", err)
	}
	fmt.Println("orders:", orders)

	select {
	case renewal := <-credential.watcher.RenewCh():
		fmt.Println("renewed for", renewal.Secret.LeaseDuration, "s")
	case err := <-credential.watcher.DoneCh():
		return fmt.Errorf("the lease was not renewed: %w", err)
	case <-time.After(patience):
		return errors.New("the lease was not renewed; is the TTL long?")
	}

	credential.watcher.Stop()
	if err := client.Sys().Revoke(credential.leaseID); err != nil {
		return fmt.Errorf("revoking the lease: %w", err)
	}
	if err := credential.db.Ping(); err == nil {
		return errors.New("the credential still works after revocation")
	}
	fmt.Println("refused after revocation")
	return nil
}

// credential is an open database and what keeps its account alive.
type credential struct {
	db      *sql.DB
	leaseID string
	watcher *vault.LifetimeWatcher
}

// Close stops the renewal and closes the database.
func (c *credential) Close() {
	c.watcher.Stop()
	_ = c.db.Close()
}

func getDbCredentials(client *vault.Client) (*credential, error) {
	// Read dynamic credentials
	secret, err := client.Logical().Read("database/creds/app-readonly")
	if err != nil {
		return nil, err
	}
	if secret == nil {
		return nil, errors.New("there is no role app-readonly")
	}

	username := secret.Data["username"].(string)
	password := secret.Data["password"].(string)

	// Connect to database; the driver reads PGHOST and PGPORT itself.
	connStr := fmt.Sprintf("user=%s password=%s dbname=mydb sslmode=require", username, password)
	db, err := sql.Open("postgres", connStr)
	if err != nil {
		return nil, err
	}
	db.SetMaxIdleConns(0) // every query logs in, so that a refusal shows

	// Start renewal goroutine
	watcher, err := client.NewLifetimeWatcher(&vault.LifetimeWatcherInput{Secret: secret})
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	go watcher.Start()
	return &credential{db: db, leaseID: secret.LeaseID, watcher: watcher}, nil
}
