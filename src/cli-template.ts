/** The node.yaml that `init` writes; the same text as node.example.yaml. */
export const NODE_TEMPLATE = `# Configuration of a routstr-node. \`routstr-node config schema\` describes every key, \`config check\` reads this file.
# Single values can be overridden: ROUTSTR_LISTEN__PORT=9000 in the environment, or --set listen.port=9000.
# Paths are relative to this file. Secrets never stand here: write env:NAME or file:PATH.

name: My node
about: Fast inference, paid in sats
# contact: { npub: npub1..., email: op@example.com, website: https://example.com }

# Addresses that buyers use, without /v1. Nothing is announced for HTTP until one is listed.
public_urls: []
# public_urls: [https://ai.example.com]

data_dir: ./data # ledger, seed and keys: back it up
# ledger: { mirror: /mnt/other-disk/mirror } # second copy of the journal; default: ./data/mirror, false for none
listen: { host: 127.0.0.1, port: 8000 }
identity: { nsec: 'file:./data/nsec' } # made by init
relays: ./relays.json

# Mints whose ecash you accept. You hold their ecash, so list only mints that you trust.
mints:
  - { url: https://mint.example.com, unit: sat }
  # - { url: http://127.0.0.1:3338, unit: sat, allow_private: true } # a mint of your own

# AI servers whose answers you sell. Leave out \`models\` to import the server's own list with its prices.
upstreams:
  - id: openai
    type: openai # openai | openrouter | anthropic | ollama | routstr; all speak the OpenAI dialect
    base_url: https://api.openai.com/v1
    api_key: env:OPENAI_API_KEY
    models:
      - id: gpt-4o-mini
        input_usd_per_million: 0.15
        output_usd_per_million: 0.60
        context_length: 128000
        max_output_tokens: 16384

pricing:
  mode: model # model | token (one rate for all) | request (flat)
  btc_usd: auto # or a number: fixed rate
  exchange_fee_percent: 0.5
  margin_percent: 10
  node_fee_percent: 0
  request_fee_msats: 0
  minimum_charge_msats: 0
  child_key_cost_msats: 0

announce: { enabled: true, heartbeat_seconds: 3600 }
dm: { enabled: true, chat: true }
# payout: { lightning_address: op@example.com, threshold_sats: 10000 }
# lightning: { allow_private: false }
admin: { public: false }
# limits: { max_connections: 4000, requests_per_minute: 6000, identical_requests: 8, drain_seconds: 25 } # the middle two per key
`;
