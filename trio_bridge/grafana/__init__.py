"""All that speaks to Grafana: where the push socket is, how to get in, and a sentence for every refusal."""
