package postgresql

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

func TestEveryConnectionLogsInWithANewToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		config, err := pgxpool.ParseConfig("postgresql://admin@db.example:5432/shop")
		if err != nil {
			t.Fatal(err)
		}
		database := &Database{}
		if err := database.identify(t.Context(), cloud{AuthType: awsIAM, Region: "eu-central-1", AccessKey: "AKIDEXAMPLE", SecretKey: "secret"}, config); err != nil {
			t.Fatal(err)
		}
		tokenOf := func() string {
			target := &pgx.ConnConfig{Config: config.ConnConfig.Config}
			if err := config.BeforeConnect(t.Context(), target); err != nil {
				t.Fatal(err)
			}
			return target.Password
		}
		first := tokenOf()
		time.Sleep(time.Second)
		if tokenOf() == first {
			t.Error("the second connection uses the token of the first")
		}
	})
}
