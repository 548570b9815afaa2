//! From asyncio's names to the ones here.
