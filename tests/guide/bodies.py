"""The JSON that the guide shows between clients, the gateway and backends, word for word.

Where the guide has ``...`` inside a value, so has this; where it stands for a list's items, the
list is empty.
"""

from typing import Any

Json = dict[str, Any]

REGISTER: Json = {
    "url": "https://inference.example.com",
    "name": "gpu-server-01",
    "capabilities": ["video-processing", "image-generation"],
    "maxConcurrent": 10,
    "metadata": {"gpu": "A100", "vram": "80GB", "region": "us-west"},
}
REGISTERED: Json = {"id": "srv_abc123", "status": "active"}

PROGRESS: Json = {
    "status": "PROCESSING",
    "progress": 45,
    "message": "Analyzing video frames...",
}
COMPLETED: Json = {
    "status": "COMPLETED",
    "result": {
        "analysis": {"scenes": [], "objects": [], "transcription": "..."},
        "thumbnails": [
            "https://cdn.example.com/thumb1.jpg",
            "https://cdn.example.com/thumb2.jpg",
        ],
        "metadata": {"processing_time": 180.5, "frames_processed": 7200},
    },
}
FAILED: Json = {
    "status": "FAILED",
    "error": "Out of memory while processing video",
    "details": {"frame": 3600, "memory_used": "32GB"},
}
STANDARD_ERROR: Json = {
    "status": "FAILED",
    "error": "Brief error message",
    "code": "ERROR_CODE",
    "details": {},
}
#: The callbacks of the guide's example in Python; the one in Node.js sends the same.
EXAMPLE_CALLBACKS: list[Json] = [
    {"status": "PROCESSING", "progress": 0},
    {"status": "COMPLETED", "result": {}},
    {"status": "FAILED", "error": "why"},
]

TEST_REGISTER: Json = {
    "url": "http://localhost:8080",
    "name": "test-backend",
    "capabilities": ["test-processing"],
}
TEST_SYNC_TASK: Json = {"type": "test-processing", "async": False, "payload": {"test": "data"}}
TEST_ASYNC_TASK: Json = {"type": "test-processing", "async": True, "payload": {"test": "data"}}

STATUSES = ["PENDING", "PROCESSING", "COMPLETED", "FAILED", "TIMEOUT", "CANCELLED"]
