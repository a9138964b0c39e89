package oracle_test

import (
	"context"
	"testing"

	"github.com/novatech/securevault/server/engines/database"
	"github.com/novatech/securevault/server/engines/database/plugintest"
	"github.com/novatech/securevault/server/engines/enginetest"
)

func TestPasswordsConform(t *testing.T) {
	outage := enginetest.NewProxy(t, server.address)
	enginetest.Suite{
		Factory: database.Factory,
		Setup:   []enginetest.Write{{Path: "config/shop", Data: config(outage.Address())}, {Path: "roles/app", Data: role(readonly())}},
		Creds:   "creds/app",
		Proxy:   outage,
		Users:   users,
		Login: func(ctx context.Context, data map[string]any) (enginetest.Session, error) {
			return server.login(ctx, data["username"].(string), data["password"].(string))
		},
	}.Run(t)
}

func TestHostileInputIsSurvived(t *testing.T) {
	plugintest.Hostile{
		Config:  config(server.address),
		Role:    role(readonly()),
		Halfway: role(readonly() + "GRANT SELECT ON " + server.orders + "_missing TO {{name}}"),
		Users:   users,
		Drop:    func(t testing.TB, name string) { asSystem(t, "DROP USER "+name+" CASCADE") },
		Admin:   server.password,
	}.Run(t)
	if orders := column(t, "SELECT note FROM "+server.orders); len(orders) != 1 {
		t.Errorf("the table of orders holds %q", orders)
	}
}
