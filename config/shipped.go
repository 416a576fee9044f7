package config

import (
	"cmp"
	_ "embed"
	"fmt"
	"strings"

	"github.com/sluice-gateway/sluice/config/similar"
)

var (
	//go:embed quickstart.yaml
	quickstart []byte
	//go:embed prices.yaml
	pricesBook []byte
	//go:embed prices-more.yaml
	pricesMoreBook []byte
	//go:embed models.yaml
	modelsFile []byte
)

// Quickstart returns the configuration that the quickstart runs on. It needs
// the variable SLUICE_DEMO_KEY, the id of the demo tenant's key.
func Quickstart() []byte { return append([]byte(nil), quickstart...) }

// shippedBooks is how many price books come before those of the operator.
const shippedBooks = 2

// shippedPrices reads the price books in the program, which come before those that
// the operator names.
func (d *decoder) shippedPrices(main *tree, c *Config) {
	for _, f := range []struct {
		name string
		data []byte
	}{{"prices.yaml", pricesBook}, {"prices-more.yaml", pricesMoreBook}} {
		if root, ok := d.parseFile(f.name, f.data); ok {
			d.appendBook(c, main, root)
			c.Prices[len(c.Prices)-1].Shipped = true
		}
	}
}

// shippedModels reads the catalogue in the program, which comes before the files
// that the operator names.
func (d *decoder) shippedModels(c *Config) {
	if root, ok := d.parseFile("models.yaml", modelsFile); ok {
		catalogueSection(d, root, &c.Models)
	}
}

// appendBook appends the price book at root, which no value of main names.
func (d *decoder) appendBook(c *Config, main *tree, root value) {
	outer := value{main, root.node, fmt.Sprintf("prices[%d]", len(c.Prices))}
	c.Prices = append(c.Prices, d.book(root, outer))
}

//go:embed zones.txt
var zones string

// zoneHint names the time zone that was probably meant, by its name or its city alone.
func zoneHint(name string) string {
	all := strings.Fields(zones)
	for _, zone := range all {
		city := zone[strings.LastIndex(zone, "/")+1:]
		if strings.EqualFold(zone, name) || strings.EqualFold(city, strings.ReplaceAll(name, " ", "_")) {
			return `; did you mean "` + zone + `"?`
		}
	}
	return cmp.Or(similar.Hint(name, all), "; names are such as UTC and Europe/Berlin")
}

// ShippedModels reads the catalogue in the program alone.
func ShippedModels() []Model {
	d, c := &decoder{env: func(string) string { return "" }}, &Config{}
	d.shippedModels(c)
	return c.Models
}
